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

/// The network or the server does not do what it should.
class NetworkError : public Error {
 public:
  using Error::Error;
};

/// The exchange broke off: no connection, a silent server, a cut answer. Another attempt may succeed.
class TransferFailed : public NetworkError {
 public:
  TransferFailed(const std::string& message, bool connected, std::optional<double> retry_after_s = std::nullopt)
      : NetworkError(message), connected_(connected), retry_after_s_(retry_after_s) {}
  /// False if the server was not reached at all.
  bool connected() const { return connected_; }
  /// The pause that the server asks for.
  std::optional<double> retry_after_s() const { return retry_after_s_; }

 private:
  bool connected_;
  std::optional<double> retry_after_s_;
};

struct HttpRequest {
  enum class Method { get, head };
  Method method = Method::get;
  std::string url = {};
  std::string token = {};    // sent as Authorization, to this URL alone
  std::uint64_t offset = 0;  // first byte wanted (Range)
};

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  // by lower-case name
  std::string body;                            // unless a sink took it; at most the first 16 MiB
  std::optional<double> retry_after_s;         // as the server asks

  /// Empty if there is none.
  const std::string& header(const std::string& name) const;
};

/// Takes the body of a successful answer (200 or 206) as it comes: the bytes, and where in the file they belong.
using BodySink = std::function<void(std::uint64_t position, std::string_view bytes)>;

/// Requests over libcurl, one at a time, which keep their connection. Proxies are those of the environment
/// (https_proxy, no_proxy).
class HttpConnection {
 public:
  /// `timeout_s`: without a byte from the server. `ca_bundle`: certificates to trust; empty: the system's.
  HttpConnection(double timeout_s, const std::filesystem::path& ca_bundle);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// One exchange: redirects are not followed. What `sink` throws ends it and is thrown on. Throws TransferFailed, or
  /// another NetworkError for what no repetition can mend.
  HttpResponse perform(const HttpRequest& request, const BodySink& sink = {});

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// Scheme, host and port of a URL, in a form that can be compared. Throws NetworkError if it is none.
std::string url_origin(const std::string& url);
/// `reference` as it stands in a document at `base`. Throws NetworkError if it is no URL.
std::string resolve_url(const std::string& base, const std::string& reference);
/// Percent-encodes all but letters, digits and -._~
std::string url_encode(std::string_view text);
/// Without the query, which holds the signature of URLs that need no token.
std::string url_for_message(const std::string& url);

}  // namespace lockstep::hub
