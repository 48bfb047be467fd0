#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep::hub {

/// Reports that the network or the server failed.
class NetworkError : public Error {
 public:
  using Error::Error;
};

/// Reports that an exchange broke off: no connection, a silent server, a truncated response. Another attempt may
/// succeed.
class TransferFailed : public NetworkError {
 public:
  TransferFailed(const std::string& message, bool connected, std::optional<double> retry_after_s = std::nullopt)
      : NetworkError(message), connected_(connected), retry_after_s_(retry_after_s) {}
  /// Returns false if the server was not reached at all.
  bool connected() const { return connected_; }
  /// Returns the pause that the server asks for before another attempt.
  std::optional<double> retry_after_s() const { return retry_after_s_; }

 private:
  bool connected_;
  std::optional<double> retry_after_s_;
};

struct HttpRequest {
  enum class Method { kGet, kHead };
  Method method = Method::kGet;
  std::string url = {};
  std::string token = {};    // sent as Authorization, only to this URL
  std::uint64_t offset = 0;  // first byte to fetch (Range)
};

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // keys in lower case
  std::string body;                            // at most 16 MiB; empty if a sink received it
  std::optional<double> retry_after_s;         // as the server asks

  /// Returns the value of a header, or an empty string if it is missing.
  const std::string& header(const std::string& name) const;
};

/// Receives the body of a successful response (200 or 206) in pieces: the position in the file, and the bytes.
using BodySink = std::function<void(std::uint64_t position, std::string_view bytes)>;

/// Performs requests through libcurl, one at a time, and reuses its connection. Proxies are taken from the environment
/// (https_proxy, no_proxy).
class HttpConnection {
 public:
  /// `timeout_s` limits how long the server may stay silent. `ca_bundle` holds the trusted certificates; empty means
  /// the system's.
  HttpConnection(double timeout_s, const std::filesystem::path& ca_bundle);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// Performs one exchange without following redirects. An exception from `sink` ends the exchange and is rethrown.
  /// Throws TransferFailed, or another NetworkError if a retry cannot help.
  HttpResponse perform(const HttpRequest& request, const BodySink& sink = {});

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// Returns scheme, host and port of a URL in a normalized form. Throws NetworkError if `url` is no URL.
std::string url_origin(const std::string& url);
/// Resolves `reference` relative to the URL `base`. Throws NetworkError if the result is no URL.
std::string resolve_url(const std::string& base, const std::string& reference);
/// Percent-encodes all characters except letters, digits and -._~
std::string url_encode(std::string_view text);
/// Returns the URL without its query, which may hold a signature that replaces a token.
std::string url_for_message(const std::string& url);

}  // namespace lockstep::hub
