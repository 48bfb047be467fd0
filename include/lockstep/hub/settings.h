#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace lockstep::hub {

/// Where models of the Hugging Face hub are kept and fetched from.
struct HubSettings {
  std::filesystem::path cache;  // holds models--ORG--NAME
  std::string endpoint = "https://huggingface.co";
  std::string token;         // empty: none
  std::string token_origin;  // where the token was found, for messages
  bool offline = false;
  double timeout_s = 10;            // without a byte from the server
  std::filesystem::path ca_bundle;  // certificates to trust; empty: the system's
};

/// The settings that huggingface_hub takes from the same variables: HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME,
/// HF_ENDPOINT, HF_TOKEN and HF_TOKEN_PATH, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT; SSL_CERT_FILE, REQUESTS_CA_BUNDLE
/// or CURL_CA_BUNDLE. `variable` gives an environment variable, or null. Throws InputError for values that are none.
HubSettings hub_settings(const std::function<const char*(const char*)>& variable);

/// The same of this process's environment.
HubSettings hub_settings_of_environment();

/// Gives the settings when they are needed: what is wrong with them does not concern a model that lies in a folder.
using HubSettingsSource = std::function<HubSettings()>;

}  // namespace lockstep::hub
