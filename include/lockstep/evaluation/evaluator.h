#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/model.h"

namespace lockstep::evaluation {

/// The negative log-likelihood (natural logarithm) of the target tokens of one example.
struct RowLoss {
  double loss_sum = 0;
  std::uint64_t target_tokens = 0;
};

struct LossTotals {
  double loss_sum = 0;
  std::uint64_t target_tokens = 0;

  /// Returns the mean over target tokens, or 0 if there are none.
  double mean() const { return target_tokens == 0 ? 0 : loss_sum / static_cast<double>(target_tokens); }
};

/// Returns the loss of every example, in the dataset's order, without dropout and gradients. The ranks share the
/// batches, and every rank gets all results. `on_progress(rows_done)` is called after each batch of this rank. If
/// `stop` is given, the ranks agree with each batch, while it is computed, on whether to stop; if so, returns nothing.
/// Each batch is computed as `pass` says, which should have no dropout.
std::optional<std::vector<RowLoss>> evaluate_rows(LanguageModel& model, const TokenizedDataset& dataset,
                                                  std::uint64_t batch_size, TokenId pad_id, Communicator& communicator,
                                                  const std::function<void(std::uint64_t)>& on_progress = {},
                                                  StopRequests* stop = nullptr, const models::Pass& pass = {});

LossTotals total(std::span<const RowLoss> rows);

}  // namespace lockstep::evaluation
