#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace lockstep::hub {

/// Says where models of the Hugging Face hub are cached, and how they are downloaded.
struct HubSettings {
  std::filesystem::path cache;  // holds models--ORG--NAME
  std::string endpoint = "https://huggingface.co";
  std::string token;         // empty if there is none
  std::string token_origin;  // where the token was found, for messages
  bool offline = false;
  double timeout_s = 10;            // of silence from the server before a transfer fails
  std::filesystem::path ca_bundle;  // trusted certificates; empty for the system's
};

/// Returns the settings, read from the same variables as in huggingface_hub: HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME,
/// HF_ENDPOINT, HF_TOKEN and HF_TOKEN_PATH, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT; SSL_CERT_FILE, REQUESTS_CA_BUNDLE
/// or CURL_CA_BUNDLE. `variable` returns the value of an environment variable, or null. Throws InputError for a
/// malformed endpoint or timeout.
HubSettings hub_settings(const std::function<const char*(const char*)>& variable);

/// Returns the settings read from this process's environment.
HubSettings hub_settings_from_environment();

/// Provides the settings on demand, so that a mistake in them does not affect models in local folders.
using HubSettingsSource = std::function<HubSettings()>;

}  // namespace lockstep::hub
