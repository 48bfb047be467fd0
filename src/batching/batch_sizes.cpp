#include "lockstep/batching/batch_sizes.h"

#include <algorithm>

#include "batching/divide_up.h"

namespace lockstep::batching {
namespace {

// The default of per_device_train_batch_size for the global batch, as in prompt2model.
constexpr std::int64_t kDefaultRowsPerRank = 100;

}  // namespace

std::uint64_t global_batch_rows(const Hyperparameters& hyperparameters, int world_size) {
  if (hyperparameters.global_batch_size) return static_cast<std::uint64_t>(*hyperparameters.global_batch_size);
  return static_cast<std::uint64_t>(hyperparameters.per_device_train_batch_size.value_or(kDefaultRowsPerRank) *
                                    hyperparameters.gradient_accumulation_steps * world_size);
}

MicroBatchLimits micro_batch_limits(const Hyperparameters& hyperparameters, std::uint64_t global_batch_size,
                                    int world_size, std::uint64_t token_limit) {
  const auto shares = static_cast<std::uint64_t>(hyperparameters.gradient_accumulation_steps * world_size);
  const std::uint64_t rows = divide_up(global_batch_size, shares);
  const auto of_device = static_cast<std::uint64_t>(hyperparameters.per_device_train_batch_size.value_or(0));
  const auto tokens = static_cast<std::uint64_t>(hyperparameters.max_tokens_per_micro_batch.value_or(0));
  return {.rows = of_device == 0 ? rows : std::min(rows, of_device), .tokens = tokens == 0 ? token_limit : tokens};
}

}  // namespace lockstep::batching
