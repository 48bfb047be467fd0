#include "lockstep/models/layers/embedding_noise.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <cmath>

#include "models/kernels/keyed_hash.h"

namespace lockstep::models {
EmbeddingNoise::EmbeddingNoise(double alpha, std::uint64_t seed, std::uint64_t step,
                               std::span<const std::uint64_t> example_ids)
    : alpha_(alpha) {
  constexpr std::uint64_t kStream = 0x4E454654756E65U;  // makes the noise independent of the dropout masks
  const std::uint64_t key = mix(mix(mix(seed) + step) ^ kStream);
  for (const std::uint64_t example : example_ids) {
    row_keys_.push_back(static_cast<std::int64_t>(mix(key ^ mix(example))));
  }
}

at::Tensor EmbeddingNoise::add_to(const at::Tensor& x, const PackedRows& rows, const PackedRows& whole,
                                  Embedded embedded) const {
  if (alpha_ == 0) return x;
  at::Tensor noise;
  {
    const at::NoGradGuard no_grad;
    std::vector<float> largest_of_rows;
    for (std::size_t row = 0; row < row_keys_.size(); ++row) {
      const auto numbers = static_cast<double>((whole.offsets[row + 1] - whole.offsets[row]) * x.size(1));
      largest_of_rows.push_back(static_cast<float>(alpha_ / std::sqrt(numbers)));
    }
    const at::Tensor row_of_token = at::floor_divide(rows.places, rows.length);
    const at::Tensor keys = to_device(at::tensor(row_keys_, at::kLong), x.device()) +
                            static_cast<std::int64_t>(mix(static_cast<std::uint64_t>(embedded)));
    const at::Tensor hash = hash_of_columns(mix(keys.index_select(0, row_of_token) + rows.positions()), x.size(1));
    const at::Tensor largest = to_device(at::tensor(largest_of_rows), x.device()).index_select(0, row_of_token);
    noise = hash.to(at::kFloat).mul_(std::ldexp(1.0, -31)).mul_(largest.unsqueeze(1));
  }
  return x + noise;
}

}  // namespace lockstep::models
