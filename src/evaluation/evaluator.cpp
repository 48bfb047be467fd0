#include "lockstep/evaluation/evaluator.h"

#include <ATen/ATen.h>
#include <algorithm>

#include "lockstep/batching/batch_plan.h"
#include "lockstep/core/error.h"

namespace lockstep::evaluation {
namespace {

// Puts the model in evaluation mode for its lifetime, and then restores the previous mode.
class EvaluationMode {
 public:
  explicit EvaluationMode(LanguageModel& model) : model_(model), was_training_(model.is_training()) { model.eval(); }
  ~EvaluationMode() { model_.train(was_training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  LanguageModel& model_;
  bool was_training_;
};

}  // namespace

std::optional<std::vector<RowLoss>> evaluate_rows(LanguageModel& model, const TokenizedDataset& dataset,
                                                  std::uint64_t batch_size, TokenId pad_id, Communicator& communicator,
                                                  const std::function<void(std::uint64_t)>& on_progress,
                                                  StopRequests* stop, const models::Pass& pass) {
  if (batch_size == 0) throw InputError("batch_size: expected at least 1, found 0");
  const EvaluationMode mode(model);
  const at::NoGradGuard no_grad;
  at::Tensor losses = at::zeros({static_cast<std::int64_t>(dataset.size())}, at::kDouble);
  auto* loss_of = losses.data_ptr<double>();

  const auto batches = batching::plan_evaluation(dataset, batch_size);
  std::uint64_t rows_done = 0;
  const auto ranks = static_cast<std::size_t>(communicator.world_size());
  const auto rank = static_cast<std::size_t>(communicator.rank());
  // Every rank computes the same number of batches, because ranks that share a model's layers must gather them
  // together. Ranks without a batch at the end compute the last one again.
  for (std::size_t first = 0; first < batches.size(); first += ranks) {
    for (std::size_t i = first; i < std::min(first + ranks, batches.size()); ++i)
      rows_done += batches[i].examples.size();
    const bool is_own = first + rank < batches.size();
    if (stop) stop->begin_synchronize();
    const batching::MicroBatch& own = is_own ? batches[first + rank] : batches.back();
    const models::Batch batch =
        models::read_batch(dataset, own.examples, model.info().decoder_start_id, pad_id).to(model.device());
    models::Pass own_pass = pass;
    const at::Tensor sums = model.row_loss_sums(batch, own_pass).to(at::kCPU, at::kDouble).contiguous();
    for (std::size_t row = 0; is_own && row < own.examples.size(); ++row) {
      loss_of[own.examples[row]] = sums.data_ptr<double>()[row];
    }
    if (stop && stop->finish_synchronize()) return std::nullopt;
    if (on_progress) on_progress(rows_done);
  }
  communicator.all_reduce_sum(losses);

  std::vector<RowLoss> rows(dataset.size());
  for (std::uint64_t i = 0; i < rows.size(); ++i) rows[i] = {loss_of[i], batching::label_tokens(dataset, i)};
  return rows;
}

LossTotals total(std::span<const RowLoss> rows) {
  LossTotals totals;
  for (const RowLoss& row : rows) {
    totals.loss_sum += row.loss_sum;
    totals.target_tokens += row.target_tokens;
  }
  return totals;
}

}  // namespace lockstep::evaluation
