#include "lockstep/train/finite_guard.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <cmath>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/models/finite_weights.h"

namespace lockstep::train {
namespace {

constexpr std::int64_t kMaxNamedRows = 16;  // maximum in a message

std::string show(double number) { return std::isnan(number) ? "nan" : fmt::to_string(number); }  // avoids "-nan"

}  // namespace

FiniteGuard::FiniteGuard(std::uint64_t max_skipped_steps, std::uint64_t total_steps,
                         std::shared_ptr<const TokenizedDataset> training, std::shared_ptr<Communicator> communicator)
    : max_skipped_steps_(max_skipped_steps),
      total_steps_(total_steps),
      training_(std::move(training)),
      communicator_(std::move(communicator)) {}

void FiniteGuard::check_loss(double loss, std::span<const std::uint64_t> examples) {
  if (!std::isfinite(loss)) non_finite_rows_.insert(non_finite_rows_.end(), examples.begin(), examples.end());
}

bool FiniteGuard::skips(std::uint64_t step, double loss, double grad_norm) {
  if (std::isfinite(loss) && std::isfinite(grad_norm)) {
    skipped_in_a_row_ = 0;
    return false;
  }
  const std::string problem = fmt::format("step {}: the loss ({}) or the gradients' norm ({}) is not finite{}", step,
                                          show(loss), show(grad_norm), describe_suspects());
  non_finite_rows_.clear();
  const bool was_never_finite = skipped_ + 1 == step;
  if (skipped_in_a_row_ == max_skipped_steps_ || (was_never_finite && step == total_steps_)) {
    comm::run_on_all(*communicator_, [&] { throw Error(problem + "; " + failure_message(was_never_finite)); });
  }
  ++skipped_;
  ++skipped_in_a_row_;
  spdlog::warn("{}: the step is skipped, {} of at most {} in a row", problem, skipped_in_a_row_, max_skipped_steps_);
  return true;
}

void FiniteGuard::skip_for_loss_scale(std::uint64_t step, double scale) {
  if (skipped_ + 1 == step && step == total_steps_) {
    comm::run_on_all(*communicator_, [&] {
      throw Error(
          fmt::format("step {}: gradients overflowed fp16 in every step, at last with a loss scale of {}; train "
                      "for more steps, or use bf16: true",
                      step, 2 * scale));
    });
  }
  ++skipped_;
  spdlog::info("step {}: gradients overflowed fp16; the step is skipped, and the loss scaled by {} from now on", step,
               scale);
}

void FiniteGuard::watch_weights(std::span<const at::Tensor> own) {
  was_finite_.clear();
  for (const at::Tensor& weights : own) was_finite_.push_back(models::is_finite(weights));
}

void FiniteGuard::check_weights(std::uint64_t step, std::span<const at::Tensor> own) {
  at::Tensor damaged = at::zeros({1}, at::kLong);
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (was_finite_.at(i) && !models::is_finite(own[i])) damaged += 1;
  }
  communicator_->all_reduce_sum(damaged);
  if (damaged.item<std::int64_t>() == 0) return;
  comm::run_on_all(*communicator_, [&] {
    throw Error(
        fmt::format("step {}: the weights are no longer finite and are not saved; training has diverged: try a "
                    "lower learning_rate, or more warmup_steps",
                    step));
  });
}

std::string FiniteGuard::failure_message(bool was_never_finite) const {
  return fmt::format("{} (max_skipped_steps: {}): {}try a lower learning_rate, or more warmup_steps",
                     was_never_finite ? "no step so far was finite" : "training has diverged", max_skipped_steps_,
                     was_never_finite
                         ? "the model's weights are damaged, or training has diverged at once; check the model, or "
                         : "");
}

// Every rank fills its row of a table [rank, count and first row numbers], which is then summed over the ranks.
std::string FiniteGuard::describe_suspects() {
  at::Tensor table = at::zeros({communicator_->world_size(), 1 + kMaxNamedRows}, at::kLong);
  auto cells = table.accessor<std::int64_t, 2>();
  auto own = cells[communicator_->rank()];
  own[0] = static_cast<std::int64_t>(non_finite_rows_.size());
  for (std::int64_t i = 0; i < std::min(own[0], kMaxNamedRows); ++i) {
    own[1 + i] = static_cast<std::int64_t>(training_->place_in_set(non_finite_rows_[static_cast<std::size_t>(i)])) + 1;
  }
  communicator_->all_reduce_sum(table);

  std::vector<std::int64_t> ranks, rows;
  std::int64_t count = 0;
  for (std::int64_t rank = 0; rank < table.size(0); ++rank) {
    auto of_rank = cells[rank];
    if (of_rank[0] == 0) continue;
    ranks.push_back(rank);
    count += of_rank[0];
    for (std::int64_t i = 0; i < std::min(of_rank[0], kMaxNamedRows); ++i) rows.push_back(of_rank[1 + i]);
  }
  if (ranks.empty()) return "";
  rows.resize(std::min<std::size_t>(rows.size(), kMaxNamedRows));
  const auto left = count - static_cast<std::int64_t>(rows.size());
  return fmt::format(
      "; the loss of rank {} was not finite, in micro-batches with the training rows {}{} (lockstep-prep inspect --row "
      "shows one)",
      fmt::join(ranks, ", "), fmt::join(rows, ", "), left > 0 ? fmt::format(" and {} more", left) : "");
}

}  // namespace lockstep::train
