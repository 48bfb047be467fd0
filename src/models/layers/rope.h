#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/core/json.h"

namespace lockstep::models {

/// Rotary positions (Su et al. 2021) with the scalings of transformers' modeling_rope_utils.py.
struct RotaryConfig {
  std::string type = "default";  // default, linear, dynamic, yarn, longrope, llama3
  double theta = 10000;
  std::int64_t features = 0;  // of a head that are rotated, from its first on; the rest is passed on
  bool interleaved = false;   // pairs are (0, 1), (2, 3) ... (GPT-J); else (0, half), (1, half + 1) ...
  std::int64_t max_positions = 0;
  std::int64_t original_max_positions = 0;  // before scaling: yarn, longrope, llama3
  double factor = 1;
  double attention_factor = 1;                                 // of cosine and sine
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;                        // yarn
  bool truncate = true;                                        // yarn
  std::vector<double> short_factors = {}, long_factors = {};   // longrope, a frequency each
};

/// What a family's config.json leaves open.
struct RotaryDefaults {
  std::int64_t head_features = 0;
  std::int64_t max_positions = 0;
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
  double partial = 1;
  bool partial_by_default = false;  // the family's unscaled rotation is partial too, not only the scaled ones
};

/// From "rope_parameters", or "rope_scaling" and the keys beside it, as transformers reads them. Throws InputError for
/// an unknown type, and for a missing or unusable value.
RotaryConfig read_rotary_config(const Json& config, const RotaryDefaults& defaults);

/// Cosine and sine of the angles, [1 or batch, 1, length, rotated features / 2].
struct RotaryAngles {
  at::Tensor cosine, sine;
};

class Rotary {
 public:
  explicit Rotary(RotaryConfig config);

  /// Whether the frequencies change with the length of the sequence, and with them all that earlier positions gave.
  bool depends_on_length() const { return config_.type == "dynamic" || config_.type == "longrope"; }

  /// Whether a sequence of `length` has other frequencies than one that is shorter by one.
  bool changes_at(std::int64_t length) const;

  /// Of `positions` [1 or batch, length] int64. `lengths`: of the sequences that they belong to, one for all or one a
  /// row; looked at only if depends_on_length().
  RotaryAngles angles(const at::Tensor& positions, const std::vector<std::int64_t>& lengths) const;

  /// `x` [batch, heads, length, features], rotated.
  at::Tensor rotate(const at::Tensor& x, const RotaryAngles& angles) const;

 private:
  at::Tensor frequencies(std::int64_t length) const;  // [rotated features / 2]

  RotaryConfig config_;
  at::Tensor frequencies_;  // for short sequences
};

}  // namespace lockstep::models
