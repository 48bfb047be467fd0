#include "models/layers/rope.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lockstep/core/error.h"
#include "lockstep/models/layers/packed_rows.h"
#include "models/config.h"

namespace lockstep::models {
namespace {

// Returns "rope_scaling" if it is not empty, else "rope_parameters".
Json rope_dictionary(const Json& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null()) continue;
    if (!found->is_object()) throw InputError(fmt::format("config.json: {}: expected an object", key));
    if (found->empty()) continue;
    for (const auto& [name, value] : found->items()) {
      if (value.is_object()) {
        throw InputError(fmt::format("config.json: {}: parameters per layer type ('{}') are not supported", key, name));
      }
    }
    return *found;
  }
  return Json::object();
}

double required_number(const Json& dictionary, const char* key, const std::string& type) {
  if (!dictionary.contains(key) || dictionary[key].is_null()) {
    throw InputError(fmt::format("config.json: rope_parameters: type {} needs '{}'", type, key));
  }
  return config_number(dictionary, key, 0);
}

std::vector<double> required_factors(const Json& dictionary, const char* key, std::int64_t count) {
  std::vector<double> factors;
  const auto found = dictionary.find(key);
  if (found != dictionary.end() && found->is_array() &&
      std::ranges::all_of(*found, [](const Json& factor) { return factor.is_number(); })) {
    factors = found->get<std::vector<double>>();
  }
  if (static_cast<std::int64_t>(factors.size()) != count) {
    throw InputError(
        fmt::format("config.json: rope_parameters: type longrope needs '{}', a list of {} numbers", key, count));
  }
  return factors;
}

// Returns the number of pairs of features, rounded up: an odd number of features rotates one more.
std::int64_t pairs(std::int64_t features) { return (features + 1) / 2; }

double yarn_magnitude(double factor, double scale) { return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1; }

void read_yarn(const Json& dictionary, RotaryConfig& rotary) {
  const double scale = config_number(dictionary, "mscale", 0);
  const double scale_all = config_number(dictionary, "mscale_all_dim", 0);
  const double inferred = scale != 0 && scale_all != 0
                              ? yarn_magnitude(rotary.factor, scale) / yarn_magnitude(rotary.factor, scale_all)
                              : yarn_magnitude(rotary.factor, 1);
  rotary.attention_factor = config_number(dictionary, "attention_factor", inferred);
  const double fast = config_number(dictionary, "beta_fast", 0);
  const double slow = config_number(dictionary, "beta_slow", 0);
  if (fast != 0) rotary.beta_fast = fast;
  if (slow != 0) rotary.beta_slow = slow;
  rotary.truncate = config_flag(dictionary, "truncate", true);
}

void read_longrope(const Json& dictionary, RotaryConfig& rotary) {
  rotary.short_factors = required_factors(dictionary, "short_factor", pairs(rotary.features));
  rotary.long_factors = required_factors(dictionary, "long_factor", pairs(rotary.features));
  const double original = static_cast<double>(rotary.original_max_positions);
  const double inferred = rotary.factor <= 1 ? 1 : std::sqrt(1 + std::log(rotary.factor) / std::log(original));
  rotary.attention_factor = config_number(dictionary, "attention_factor", inferred);
}

// For yarn and longrope, the factor defaults to the ratio of the lengths.
void read_factor(const Json& dictionary, RotaryConfig& rotary) {
  const bool has_ratio = rotary.type == "yarn" || rotary.type == "longrope";
  const double ratio = static_cast<double>(rotary.max_positions) /
                       static_cast<double>(std::max<std::int64_t>(1, rotary.original_max_positions));
  rotary.factor =
      has_ratio ? config_number(dictionary, "factor", ratio) : required_number(dictionary, "factor", rotary.type);
}

void read_scaling(const Json& config, const Json& dictionary, RotaryConfig& rotary) {
  const std::int64_t original = config_integer(dictionary, "original_max_position_embeddings", rotary.max_positions);
  rotary.original_max_positions = config_integer(config, "original_max_position_embeddings", original);
  read_factor(dictionary, rotary);
  if (rotary.type == "dynamic" && rotary.features <= 2) {
    throw InputError("config.json: rope_parameters: type dynamic needs more than two rotated features per head");
  }
  if (rotary.type == "yarn" && rotary.features % 2 != 0) {
    throw InputError("config.json: rope_parameters: type yarn needs an even number of rotated features per head");
  }
  if (rotary.type == "llama3") {
    rotary.low_frequency_factor = required_number(dictionary, "low_freq_factor", rotary.type);
    rotary.high_frequency_factor = required_number(dictionary, "high_freq_factor", rotary.type);
  }
  if (rotary.type == "yarn") read_yarn(dictionary, rotary);
  if (rotary.type == "longrope") read_longrope(dictionary, rotary);
}

}  // namespace

RotaryConfig read_rotary_config(const Json& config, const RotaryDefaults& defaults) {
  const Json dictionary = rope_dictionary(config);
  RotaryConfig rotary;
  rotary.type = config_text(dictionary, "rope_type", config_text(dictionary, "type", "default"));
  constexpr std::array kTypes = {"default", "linear", "dynamic", "yarn", "longrope", "llama3"};
  if (std::ranges::find(kTypes, rotary.type) == kTypes.end()) {
    throw InputError(fmt::format("config.json: rope_parameters: the type '{}' is not supported (supported: {})",
                                 rotary.type, fmt::join(kTypes, ", ")));
  }
  rotary.theta = config_number(dictionary, "rope_theta", config_number(config, defaults.theta_key, 10000));
  rotary.max_positions = defaults.max_positions;
  const double partial =
      config_number(dictionary, "partial_rotary_factor", config_number(config, defaults.partial_key, defaults.partial));
  rotary.features = static_cast<std::int64_t>(static_cast<double>(defaults.head_features) * partial);
  if (!defaults.partial_by_default) {
    if (rotary.type != "default" && rotary.features != defaults.head_features) {
      throw InputError(fmt::format("config.json: partial_rotary_factor {} is not supported for this family", partial));
    }
    rotary.features = defaults.head_features;
  }
  if (rotary.features < 0 || 2 * pairs(rotary.features) > defaults.head_features) {
    throw InputError(fmt::format("config.json: {} rotated features do not fit heads of {} in pairs", rotary.features,
                                 defaults.head_features));
  }
  if (rotary.type != "default") read_scaling(config, dictionary, rotary);
  return rotary;
}

namespace {

at::Tensor exponents(std::int64_t features) {
  return at::arange(0, features, 2, at::kLong).to(at::kFloat) / static_cast<double>(features);
}

at::Tensor unscaled(const RotaryConfig& rotary) {
  return 1 / at::pow(at::Scalar(rotary.theta), exponents(rotary.features));
}

// Increases the base with the length (NTK-aware scaling), in single precision as in transformers.
at::Tensor dynamic_frequencies(const RotaryConfig& rotary, std::int64_t length) {
  const double features = static_cast<double>(rotary.features);
  const at::Tensor scaled =
      rotary.factor * at::scalar_tensor(at::Scalar(length), at::kLong) / static_cast<double>(rotary.max_positions);
  const at::Tensor base = rotary.theta * at::pow(scaled - (rotary.factor - 1), features / (features - 2));
  return 1 / at::pow(base, exponents(rotary.features));
}

// Divides low frequencies by the factor, keeps high ones and interpolates between them.
at::Tensor llama3_frequencies(const RotaryConfig& rotary) {
  const at::Tensor plain = unscaled(rotary);
  const double original = static_cast<double>(rotary.original_max_positions);
  const at::Tensor wavelength = 2 * std::numbers::pi / plain;
  const at::Tensor is_low = wavelength > original / rotary.low_frequency_factor;
  const at::Tensor is_high = wavelength < original / rotary.high_frequency_factor;
  const at::Tensor smooth = (original / wavelength - rotary.low_frequency_factor) /
                            (rotary.high_frequency_factor - rotary.low_frequency_factor);
  const at::Tensor between = (1 - smooth) * plain / rotary.factor + smooth * plain;
  return at::where(is_low, plain / rotary.factor, at::where(is_high, plain, between));
}

// Returns the (fractional) index of the pair of features that turns `rotations` times within the original length.
double yarn_boundary(const RotaryConfig& rotary, double rotations) {
  return static_cast<double>(rotary.features) *
         std::log(static_cast<double>(rotary.original_max_positions) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rotary.theta));
}

at::Tensor yarn_frequencies(const RotaryConfig& rotary) {
  double low = yarn_boundary(rotary, rotary.beta_fast);
  double high = yarn_boundary(rotary, rotary.beta_slow);
  if (rotary.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotary.features - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = at::clamp((at::arange(rotary.features / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor kept = 1 - ramp;
  const at::Tensor powers = at::pow(at::Scalar(rotary.theta), exponents(rotary.features));
  return 1 / (rotary.factor * powers) * (1 - kept) + 1 / powers * kept;
}

at::Tensor longrope_frequencies(const RotaryConfig& rotary, std::int64_t length) {
  const auto& factors = length > rotary.original_max_positions ? rotary.long_factors : rotary.short_factors;
  const at::Tensor divisors = at::tensor(factors, at::kFloat);
  return 1 / (divisors * at::pow(at::Scalar(rotary.theta), exponents(rotary.features)));
}

}  // namespace

Rotary::Rotary(RotaryConfig config) : config_(std::move(config)) { frequencies_ = frequencies(1); }

at::Tensor Rotary::frequencies(std::int64_t length) const {
  if (config_.features == 0) return at::empty({0}, at::kFloat);
  if (config_.type == "linear") return unscaled(config_) / config_.factor;
  if (config_.type == "llama3") return llama3_frequencies(config_);
  if (config_.type == "yarn") return yarn_frequencies(config_);
  if (config_.type == "longrope") return longrope_frequencies(config_, length);
  if (config_.type == "dynamic" && length > config_.max_positions) return dynamic_frequencies(config_, length);
  return unscaled(config_);
}

bool Rotary::changes_at(std::int64_t length) const {
  if (config_.type == "longrope") return length == config_.original_max_positions + 1;
  return config_.type == "dynamic" && length > config_.max_positions;
}

RotaryAngles Rotary::angles(const at::Tensor& positions, const std::vector<std::int64_t>& lengths) const {
  at::Tensor by_row = frequencies_;  // [pairs] or [batch, pairs]
  if (depends_on_length()) {
    std::vector<at::Tensor> rows;
    for (const std::int64_t length : lengths) rows.push_back(frequencies(length));
    by_row = at::stack(rows);
  }
  const at::Tensor turned =
      positions.unsqueeze(-1).to(at::kFloat) * to_device(by_row, positions.device()).unsqueeze(-2);
  const at::Tensor angles = turned.unsqueeze(1);  // [1 or batch, 1, length, pairs]
  if (config_.attention_factor == 1) return {angles.cos(), angles.sin()};
  return {angles.cos() * config_.attention_factor, angles.sin() * config_.attention_factor};
}

at::Tensor Rotary::rotate(const at::Tensor& x, const RotaryAngles& angles) const {
  const std::int64_t half = angles.cosine.size(-1);
  const std::int64_t rest = x.size(-1) - 2 * half;
  if (half == 0) return x;
  const at::Tensor rotated = x.narrow(-1, 0, 2 * half);
  const at::Tensor pairs_of = config_.interleaved ? rotated.unflatten(-1, {half, 2}) : at::Tensor();
  const at::Tensor first = config_.interleaved ? pairs_of.select(-1, 0) : rotated.narrow(-1, 0, half);
  const at::Tensor second = config_.interleaved ? pairs_of.select(-1, 1) : rotated.narrow(-1, half, half);
  const at::Tensor new_first = first * angles.cosine - second * angles.sine;
  const at::Tensor new_second = second * angles.cosine + first * angles.sine;
  if (config_.interleaved) {
    const at::Tensor joined = at::stack({new_first, new_second}, -1).flatten(-2);
    return rest == 0 ? joined : at::cat({joined, x.narrow(-1, 2 * half, rest)}, -1);
  }
  if (rest == 0) return at::cat({new_first, new_second}, -1);
  return at::cat({new_first, new_second, x.narrow(-1, 2 * half, rest)}, -1);
}

}  // namespace lockstep::models
