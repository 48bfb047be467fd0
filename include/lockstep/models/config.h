#pragma once

#include <cstdint>
#include <string>

#include "lockstep/core/json.h"

namespace lockstep {

// A key of a model's config.json, or `fallback` (transformers' default) where it is missing or null. Each throws
// InputError naming the key for a value of another type or out of range.
std::int64_t config_integer(const Json& config, const char* key, std::int64_t fallback);  // from 1 up
std::int64_t config_token(const Json& config, const char* key, std::int64_t fallback);    // from 0 up
double config_number(const Json& config, const char* key, double fallback);
double config_probability(const Json& config, const char* key, double fallback);  // from 0, below 1
bool config_flag(const Json& config, const char* key, bool fallback);
std::string config_text(const Json& config, const char* key, const std::string& fallback);

/// Throws InputError if `key` is true: the option is not supported.
void refuse_config_flag(const Json& config, const char* key);

}  // namespace lockstep
