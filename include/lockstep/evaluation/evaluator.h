#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/stop_requests.h"
#include "lockstep/data/tokenized_dataset.h"
#include "lockstep/models/model.h"

namespace lockstep::evaluation {

/// Negative log-likelihood (natural logarithm) over the target tokens of one example.
struct RowLoss {
  double loss_sum = 0;
  std::uint64_t target_tokens = 0;
};

struct LossTotals {
  double loss_sum = 0;
  std::uint64_t target_tokens = 0;

  /// Mean over target tokens; 0 without any.
  double mean() const { return target_tokens == 0 ? 0 : loss_sum / static_cast<double>(target_tokens); }
};

/// The loss of every example, in the dataset's order, without dropout and without gradients. The ranks share the
/// batches; every rank gets all results. `on_progress(rows_done)` is called after each batch of this rank. None if the
/// ranks agreed to stop, for which they are asked with each batch while it is computed; without `stop`, never none.
std::optional<std::vector<RowLoss>> evaluate_rows(LanguageModel& model, const TokenizedDataset& dataset,
                                                  std::uint64_t batch_size, TokenId pad_id, Communicator& communicator,
                                                  const std::function<void(std::uint64_t)>& on_progress = {},
                                                  StopRequests* stop = nullptr);

LossTotals total(const std::vector<RowLoss>& rows);

}  // namespace lockstep::evaluation
