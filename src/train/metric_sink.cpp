#include "lockstep/train/metric_sink.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <cerrno>
#include <limits>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep {

JsonLinesSink::JsonLinesSink(std::filesystem::path path, std::uint64_t logging_steps)
    : path_(std::move(path)), stream_(path_, std::ios::trunc), logging_steps_(logging_steps) {
  if (!stream_) throw_system_error("create", path_, errno);
}

void JsonLinesSink::on_step(const StepMetrics& metrics) {
  if (metrics.step % logging_steps_ != 0) return;
  Json line = {{"event", "step"},
               {"step", metrics.step},
               {"epoch", metrics.epoch},
               {"loss", metrics.loss},
               {"grad_norm", metrics.grad_norm},
               {"learning_rate", metrics.learning_rate},
               {"tokens", metrics.tokens},
               {"target_tokens", metrics.target_tokens},
               {"padding", metrics.padding},
               {"tokens_per_second", static_cast<double>(metrics.tokens) / metrics.seconds},
               {"seconds", metrics.seconds}};
  if (metrics.skipped) line["skipped"] = true;
  write_line(line.dump());
}

void JsonLinesSink::on_evaluation(const EvaluationMetrics& metrics) {
  const Json line = {{"event", "evaluation"},
                     {"step", metrics.step},
                     {"epoch", metrics.epoch},
                     {"eval_loss", metrics.eval_loss},
                     {"target_tokens", metrics.target_tokens},
                     {"seconds", metrics.seconds}};
  write_line(line.dump());
}

void JsonLinesSink::write_line(const std::string& line) {
  errno = 0;
  stream_ << line << '\n' << std::flush;
  if (!stream_) throw_system_error("write", path_, errno);
}

void StepTotals::add(const StepMetrics& metrics) {
  seconds_ += metrics.seconds;
  tokens_ += metrics.tokens;
  if (metrics.skipped) {
    ++skipped_steps_;
    return;
  }
  loss_sum_ += metrics.loss * static_cast<double>(metrics.target_tokens);
  target_tokens_ += metrics.target_tokens;
}

double StepTotals::loss() const {
  if (target_tokens_ == 0) return std::numeric_limits<double>::quiet_NaN();
  return loss_sum_ / static_cast<double>(target_tokens_);
}

void EpochSink::on_step(const StepMetrics& metrics) {
  totals_.add(metrics);
  if (metrics.step % steps_per_epoch_ != 0 && metrics.step != total_steps_) return;
  epochs_.push_back({metrics.epoch, metrics.step, totals_.loss(), totals_.tokens_per_second(), std::nullopt,
                     totals_.skipped_steps()});
  totals_ = {};
}

void EpochSink::on_evaluation(const EvaluationMetrics& metrics) { epochs_.back().eval_loss = metrics.eval_loss; }

ConsoleSink::ConsoleSink(std::uint64_t total_steps, std::uint64_t steps_per_epoch)
    : progress_("train", "step", total_steps), total_steps_(total_steps), steps_per_epoch_(steps_per_epoch) {}

void ConsoleSink::on_step(const StepMetrics& metrics) {
  totals_.add(metrics);
  progress_.update(metrics.step, fmt::format("loss {:.4f}", metrics.loss));
  if (metrics.step % steps_per_epoch_ != 0 && metrics.step != total_steps_) return;
  progress_.clear();
  spdlog::info("epoch {:.4g}: step {}/{}, loss {:.4f}, {:.0f} tokens/s{}", metrics.epoch, metrics.step, total_steps_,
               totals_.loss(), totals_.tokens_per_second(),
               totals_.skipped_steps() > 0 ? fmt::format(", {} steps skipped", totals_.skipped_steps()) : "");
  totals_ = {};
}

void ConsoleSink::on_evaluation(const EvaluationMetrics& metrics) {
  progress_.clear();
  spdlog::info("epoch {:.4g}: eval_loss {:.4f} over {} target tokens", metrics.epoch, metrics.eval_loss,
               metrics.target_tokens);
}

}  // namespace lockstep
