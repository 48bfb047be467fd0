#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/json.h"

namespace lockstep::models {

// These return the value of a key of config.json, or `fallback` (transformers' default) if the key is missing or null.
// They throw InputError naming the key if the value has another type or is out of range.
std::int64_t config_integer(const Json& config, const char* key, std::int64_t fallback);  // at least 1
std::int64_t config_token(const Json& config, const char* key, std::int64_t fallback);    // at least 0
double config_number(const Json& config, const char* key, double fallback);
double config_probability(const Json& config, const char* key, double fallback);  // in [0, 1)
bool config_flag(const Json& config, const char* key, bool fallback);
std::string config_text(const Json& config, const char* key, const std::string& fallback);

// These return none if the value is null, and `fallback` only if the key is missing. They throw as config_integer() and
// config_number() do.
std::optional<std::int64_t> config_optional_integer(const Json& config, const char* key,
                                                    std::optional<std::int64_t> fallback);
std::optional<double> config_optional_number(const Json& config, const char* key, std::optional<double> fallback);

/// Throws InputError if `key` is true, because the option is not supported.
void refuse_config_flag(const Json& config, const char* key);

/// Throws InputError if `key` exists and is not null, because the option is not supported. The message ends with
/// `remedy`.
void refuse_config_key(const Json& config, const char* key, std::string_view remedy = "give a model without it");

}  // namespace lockstep::models
