#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/core/json.h"

namespace lockstep::models {

/// Describes rotary positions (Su et al. 2021) with the scalings of transformers' modeling_rope_utils.py.
struct RotaryConfig {
  std::string type = "default";  // default, linear, dynamic, yarn, longrope, llama3
  double theta = 10000;
  std::int64_t features = 0;  // rotated features of a head, from its first on; the rest stays unchanged
  bool interleaved = false;   // pairs are (0, 1), (2, 3) ... (GPT-J), otherwise (0, half), (1, half + 1) ...
  std::int64_t max_positions = 0;
  std::int64_t original_max_positions = 0;  // before scaling: yarn, longrope, llama3
  double factor = 1;
  double attention_factor = 1;                                 // factor of cosine and sine
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;                        // yarn
  bool truncate = true;                                        // yarn
  std::vector<double> short_factors = {}, long_factors = {};   // longrope, one per frequency
};

/// Holds a family's defaults for values that its config.json may omit.
struct RotaryDefaults {
  std::int64_t head_features = 0;
  std::int64_t max_positions = 0;
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
  double partial = 1;
  bool partial_by_default = false;  // whether the family supports partial rotation
};

/// Reads the rotary options of a config.json from "rope_parameters", or from "rope_scaling" and the keys next to it, as
/// transformers does. Throws InputError for an unknown type and for a missing or invalid value.
RotaryConfig read_rotary_config(const Json& config, const RotaryDefaults& defaults);

/// Holds the cosine and sine of the angles, [1 or batch, 1, length, rotated features / 2] each.
struct RotaryAngles {
  at::Tensor cosine, sine;
};

class Rotary {
 public:
  explicit Rotary(RotaryConfig config);

  /// Returns whether the frequencies depend on the length of the sequence. If they change, cached keys become invalid.
  bool depends_on_length() const { return config_.type == "dynamic" || config_.type == "longrope"; }

  /// Returns whether the frequencies for a sequence of `length` differ from those for `length` - 1.
  bool changes_at(std::int64_t length) const;

  /// Returns the angles of `positions` [1 or batch, length] int64. `lengths` holds the lengths of their sequences, one
  /// for all rows or one per row; it is read only if depends_on_length().
  RotaryAngles angles(const at::Tensor& positions, const std::vector<std::int64_t>& lengths) const;

  /// Returns `x` [batch, heads, length, features] rotated by `angles`.
  at::Tensor rotate(const at::Tensor& x, const RotaryAngles& angles) const;

 private:
  at::Tensor frequencies(std::int64_t length) const;  // [rotated features / 2]

  RotaryConfig config_;
  at::Tensor frequencies_;  // for short sequences
};

}  // namespace lockstep::models
