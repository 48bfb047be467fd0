#include "lockstep/train/batch_sizes.h"

#include <algorithm>

namespace lockstep {
namespace {

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

}  // namespace

std::uint64_t global_batch_rows(const Hyperparameters& hyperparameters, int world_size) {
  if (hyperparameters.global_batch_size) return static_cast<std::uint64_t>(*hyperparameters.global_batch_size);
  return static_cast<std::uint64_t>(hyperparameters.per_device_train_batch_size *
                                    hyperparameters.gradient_accumulation_steps * world_size);
}

std::uint64_t micro_batch_rows(const Hyperparameters& hyperparameters, std::uint64_t global_batch_size,
                               int world_size) {
  const auto shares = static_cast<std::uint64_t>(hyperparameters.gradient_accumulation_steps * world_size);
  return std::min(static_cast<std::uint64_t>(hyperparameters.per_device_train_batch_size),
                  divide_up(global_batch_size, shares));
}

}  // namespace lockstep
