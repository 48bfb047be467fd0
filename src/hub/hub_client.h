#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "hub/http.h"
#include "hub/model_name.h"
#include "lockstep/hub/settings.h"

namespace lockstep::hub {

/// Reports that the hub refused a request.
class Refused : public InputError {
 public:
  using InputError::InputError;
};

/// Talks to the hub's routes (huggingface_hub: hf_api.py, file_download.py). Retries list() and describe() after
/// temporary failures of the network or the server. Sends the token only to the hub, never along with a redirect to a
/// storage host.
class HubClient {
 public:
  HubClient(const HubSettings& settings, ModelName name);

  const HubSettings& settings() const { return settings_; }

  struct Listing {
    std::string commit;
    std::set<std::string> files;
  };
  /// Returns the commit that `revision` refers to, and its files.
  Listing list(const std::string& revision);

  struct File {
    std::string name;
    std::string etag;  // SHA-256 of the content (LFS), or git's blob id
    std::optional<std::uint64_t> size;
  };
  File describe(const std::string& commit, const std::string& file);

  /// Tries once to download `file` from byte `offset` on. Throws TransferFailed for a temporary failure.
  void fetch(const std::string& commit, const std::string& file, std::uint64_t offset, const BodySink& sink);

 private:
  std::string file_url(const std::string& commit, const std::string& file) const;
  bool is_hub(const std::string& url) const;
  HttpResponse request(HttpRequest::Method method, const std::string& url);
  HttpResponse follow(HttpRequest request, const BodySink& sink = {});
  void check(const HttpResponse& response, const std::string& url, bool from_hub) const;
  [[noreturn]] void refuse(const HttpResponse& response, const std::string& url) const;

  const HubSettings& settings_;
  ModelName name_;
  HttpConnection connection_;
};

}  // namespace lockstep::hub
