#include "models/config.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"

namespace lockstep::models {
namespace {

[[noreturn]] void refuse(const char* key, const char* expected, const Json& found) {
  throw InputError(fmt::format("config.json: {}: expected {}, found {}", key, expected, found.dump()));
}

const Json* find(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t integer_from(double minimum, const char* expected, const Json& config, const char* key,
                          std::int64_t fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  constexpr double kLargest = 1e12;
  if (!value->is_number_integer() || value->get<double>() < minimum || value->get<double>() > kLargest) {
    refuse(key, expected, *value);
  }
  return value->get<std::int64_t>();
}

}  // namespace

std::int64_t config_integer(const Json& config, const char* key, std::int64_t fallback) {
  return integer_from(1, "a whole number of at least 1", config, key, fallback);
}

std::int64_t config_token(const Json& config, const char* key, std::int64_t fallback) {
  return integer_from(0, "a token id", config, key, fallback);
}

double config_number(const Json& config, const char* key, double fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) refuse(key, "a number", *value);
  return value->get<double>();
}

double config_probability(const Json& config, const char* key, double fallback) {
  const double number = config_number(config, key, fallback);
  if (!(number >= 0 && number < 1)) refuse(key, "a number from 0 to below 1", *find(config, key));
  return number;
}

bool config_flag(const Json& config, const char* key, bool fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "true or false", *value);
  return value->get<bool>();
}

std::string config_text(const Json& config, const char* key, const std::string& fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) refuse(key, "a text", *value);
  return value->get<std::string>();
}

std::optional<std::int64_t> config_optional_integer(const Json& config, const char* key,
                                                    std::optional<std::int64_t> fallback) {
  if (!config.contains(key)) return fallback;
  return find(config, key) == nullptr ? std::nullopt : std::optional(config_integer(config, key, 0));
}

std::optional<double> config_optional_number(const Json& config, const char* key, std::optional<double> fallback) {
  if (!config.contains(key)) return fallback;
  return find(config, key) == nullptr ? std::nullopt : std::optional(config_number(config, key, 0));
}

void refuse_config_flag(const Json& config, const char* key) {
  if (config_flag(config, key, false)) throw InputError(fmt::format("config.json: {}: true is not supported", key));
}

void refuse_config_key(const Json& config, const char* key, std::string_view remedy) {
  if (find(config, key) != nullptr) {
    throw InputError(fmt::format("config.json: expected no {}, which Lockstep does not support; {}", key, remedy));
  }
}

}  // namespace lockstep::models
