#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "hub/http.h"
#include "hub/model_name.h"
#include "lockstep/hub/settings.h"

namespace lockstep::hub {

/// The hub has answered that it does not give what was asked for.
class Refused : public InputError {
 public:
  using InputError::InputError;
};

/// The hub's routes (huggingface_hub: hf_api.py, file_download.py). Requests are repeated where the network or the
/// server fails for the moment. The token goes to the hub alone, never along with a redirect to a host of storage.
class HubClient {
 public:
  HubClient(const HubSettings& settings, ModelName name);

  const HubSettings& settings() const { return settings_; }

  struct Listing {
    std::string commit;
    std::set<std::string> files;
  };
  /// What `revision` of the model is.
  Listing list(const std::string& revision);

  struct File {
    std::string name;
    std::string etag;  // SHA-256 of the content (LFS), or git's blob id
    std::optional<std::uint64_t> size;
  };
  File describe(const std::string& commit, const std::string& file);

  /// One attempt to fetch `file` from byte `offset` on. Throws TransferFailed with what went wrong for the moment.
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
