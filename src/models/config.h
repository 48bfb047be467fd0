#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/json.h"

namespace lockstep::models {

// A key of a model's config.json, or `fallback` (transformers' default) where it is missing or null. Each throws
// InputError naming the key for a value of another type or out of range.
std::int64_t config_integer(const Json& config, const char* key, std::int64_t fallback);  // from 1 up
std::int64_t config_token(const Json& config, const char* key, std::int64_t fallback);    // from 0 up
double config_number(const Json& config, const char* key, double fallback);
double config_probability(const Json& config, const char* key, double fallback);  // from 0, below 1
bool config_flag(const Json& config, const char* key, bool fallback);
std::string config_text(const Json& config, const char* key, const std::string& fallback);

// The same where null says "none" and only a missing key gives `fallback`.
std::optional<std::int64_t> config_optional_integer(const Json& config, const char* key,
                                                    std::optional<std::int64_t> fallback);
std::optional<double> config_optional_number(const Json& config, const char* key, std::optional<double> fallback);

/// Throws InputError if `key` is true: the option is not supported.
void refuse_config_flag(const Json& config, const char* key);

/// Throws InputError if `key` is there and not null: the option is not supported.
void refuse_config_key(const Json& config, const char* key, std::string_view remedy = "give a model without it");

}  // namespace lockstep::models
