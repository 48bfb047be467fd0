#include "models/decoder/score_biases.h"

#include <bit>
#include <cmath>
#include <map>

#include "lockstep/models/layers/packed_rows.h"
#include "models/layers/attention.h"

namespace lockstep::models {
namespace {

// Returns ALiBi's slopes [heads] (Press et al. 2022): a geometric sequence, extended by every other slope of twice as
// many heads if `heads` is not a power of two.
at::Tensor alibi_slopes(std::int64_t heads) {
  const auto geometric = [](std::int64_t of_heads, std::int64_t first, std::int64_t end, std::int64_t step) {
    const double base = std::pow(2, -std::pow(2, 3 - std::log2(static_cast<double>(of_heads))));
    return at::pow(at::scalar_tensor(base, at::kFloat), at::arange(first, end, step, at::kInt));
  };
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  at::Tensor slopes = geometric(power, 1, power + 1, 1);
  if (power == heads) return slopes;
  return at::cat({slopes, geometric(2 * power, 1, 1 + 2 * (heads - power), 2)});
}

// Returns ALiBi's biases [1, heads, 1, keys] for keys 0 ... `keys` - 1, in bfloat16, as in Falcon's training.
at::Tensor alibi(const DecoderConfig& config, std::int64_t keys, at::Device device) {
  const at::Tensor slopes = to_device(alibi_slopes(config.heads).to(at::kBFloat16), device);
  const at::Tensor distances = slopes.unsqueeze(1) * at::arange(keys, at::TensorOptions(at::kLong).device(device));
  return (distances.to(at::kFloat) * config.attention_scale).unsqueeze(1).unsqueeze(0);
}

}  // namespace

std::vector<at::Tensor> sequence_biases(const DecoderConfig& config, std::int64_t length, at::Device device) {
  const bool has_alibi = config.positions == PositionKind::kAlibi;
  return std::vector<at::Tensor>(config.windows.size(), has_alibi ? alibi(config, length, device) : at::Tensor());
}

std::vector<at::Tensor> step_biases(const DecoderConfig& config, const at::Tensor& positions, std::int64_t keys) {
  const bool has_alibi = config.positions == PositionKind::kAlibi;
  const at::Tensor slopes = has_alibi ? alibi(config, keys, positions.device()) : at::Tensor();
  std::map<std::optional<std::int64_t>, at::Tensor> by_window;
  std::vector<at::Tensor> biases;
  for (const auto& window : config.windows) {
    const auto [found, is_new] = by_window.try_emplace(window);
    if (is_new) {
      const at::Tensor bias = window_bias(positions, keys, window).unsqueeze(1).unsqueeze(1);
      found->second = has_alibi ? slopes + bias : bias;
    }
    biases.push_back(found->second);
  }
  return biases;
}

}  // namespace lockstep::models
