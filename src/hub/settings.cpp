#include "lockstep/hub/settings.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::hub {
namespace {

namespace fs = std::filesystem;

class Environment {
 public:
  explicit Environment(const std::function<const char*(const char*)>& variable) : variable_(variable) {}

  // Returns the value of the first variable that is set and not empty.
  template <class... Names>
  std::string first(Names... names) const {
    for (const char* name : {names...}) {
      const char* value = variable_(name);
      if (value != nullptr && *value != '\0') return value;
    }
    return "";
  }

  fs::path path(const char* name) const { return expand(first(name)); }

  fs::path home() const {
    const std::string home = first("HOME");
    if (!home.empty()) return home;
    const passwd* user = ::getpwuid(::getuid());
    return user != nullptr ? user->pw_dir : "/";
  }

 private:
  fs::path expand(const std::string& path) const {
    if (path == "~" || path.starts_with("~/")) return home() / path.substr(std::min<std::size_t>(path.size(), 2));
    return path;
  }

  const std::function<const char*(const char*)>& variable_;
};

bool is_true(std::string value) {
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::toupper(c); });
  constexpr std::array<std::string_view, 4> kTrue{"1", "ON", "YES", "TRUE"};
  return std::ranges::find(kTrue, value) != kTrue.end();
}

std::string without_blanks(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

fs::path first_given(std::initializer_list<fs::path> paths) {
  for (const fs::path& path : paths) {
    if (!path.empty()) return path;
  }
  return {};
}

std::string endpoint_of(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://")) {
    throw InputError(fmt::format("HF_ENDPOINT: expected a URL like https://huggingface.co, found '{}'", endpoint));
  }
  return endpoint;
}

double timeout_of(const std::string& text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1) {
    throw InputError(fmt::format("HF_HUB_DOWNLOAD_TIMEOUT: expected seconds, 1 or more, found '{}'", text));
  }
  return seconds;
}

}  // namespace

HubSettings hub_settings(const std::function<const char*(const char*)>& variable) {
  const Environment environment(variable);
  HubSettings settings;
  const fs::path cache_home = first_given({environment.path("XDG_CACHE_HOME"), environment.home() / ".cache"});
  const fs::path hub_home = first_given({environment.path("HF_HOME"), cache_home / "huggingface"});
  settings.cache =
      first_given({environment.path("HF_HUB_CACHE"), environment.path("HUGGINGFACE_HUB_CACHE"),  // the older name
                   hub_home / "hub"});
  if (const auto endpoint = environment.first("HF_ENDPOINT"); !endpoint.empty()) {
    settings.endpoint = endpoint_of(endpoint);
  }
  settings.token = without_blanks(environment.first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"));
  settings.token_origin = "HF_TOKEN";
  const fs::path token_path = first_given({environment.path("HF_TOKEN_PATH"), hub_home / "token"});
  if (std::error_code error; settings.token.empty() && fs::is_regular_file(token_path, error)) {
    settings.token = without_blanks(core::read_file(token_path));
    settings.token_origin = token_path.string();
  }
  settings.offline = is_true(environment.first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"));
  if (const auto timeout = environment.first("HF_HUB_DOWNLOAD_TIMEOUT"); !timeout.empty()) {
    settings.timeout_s = timeout_of(timeout);
  }
  settings.ca_bundle = first_given(
      {environment.path("SSL_CERT_FILE"), environment.path("REQUESTS_CA_BUNDLE"), environment.path("CURL_CA_BUNDLE")});
  return settings;
}

HubSettings hub_settings_from_environment() {
  return hub_settings([](const char* name) { return std::getenv(name); });
}

}  // namespace lockstep::hub
