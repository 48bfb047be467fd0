#include "lockstep/train/metric_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <cerrno>
#include <limits>
#include <sstream>
#include <utility>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"

namespace lockstep::train {
namespace {

// JSON has no NaN, which is stored as null.
double number_or_nan(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

// Returns ", 920 tokens/s, MFU 47.1 %, input wait 3.0 %". A small input wait is left out.
std::string describe_speed(double tokens_per_second, std::optional<double> mfu, double input_wait) {
  constexpr double kNoticed = 0.01;
  return fmt::format(", {:.0f} tokens/s{}{}", tokens_per_second, mfu ? fmt::format(", MFU {:.1f} %", 100 * *mfu) : "",
                     input_wait > kNoticed ? fmt::format(", input wait {:.1f} %", 100 * input_wait) : "");
}

}  // namespace

JsonLinesSink::JsonLinesSink(std::filesystem::path path, std::uint64_t logging_steps,
                             std::optional<RunPosition> resumed_at)
    : path_(std::move(path)), logging_steps_(logging_steps) {
  if (resumed_at) keep_lines(*resumed_at);
  const int emptied = resumed_at ? 0 : O_TRUNC;
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | emptied, 0666);
  if (descriptor_ < 0) core::throw_system_error("create", path_, errno);
}

JsonLinesSink::~JsonLinesSink() { ::close(descriptor_); }

void JsonLinesSink::keep_lines(const RunPosition& until) {
  std::string kept;
  std::uint64_t steps = 0;
  std::istringstream lines(std::filesystem::exists(path_) ? core::read_file(path_) : "");
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);  // the last line may be incomplete
    if (!json.is_object() || !json.contains("event") || !json.contains("step") || !json["step"].is_number()) continue;
    const bool is_step = json["event"] == "step";
    const std::uint64_t last = is_step || until.is_evaluated ? until.step : until.step - 1;
    if (json["step"].get<std::uint64_t>() > last) continue;
    steps += is_step ? 1 : 0;
    kept += line + '\n';
  }
  if (const std::uint64_t expected = until.step / logging_steps_; steps != expected) {
    spdlog::warn("{}: expected lines of {} steps up to the checkpoint, found {}; the run continues after them",
                 path_.string(), expected, steps);
  }
  core::write_file(path_, kept);
}

void JsonLinesSink::on_step(const StepMetrics& metrics) {
  if (metrics.step % logging_steps_ != 0) return;
  Json line = {{"event", "step"}};
  line.update(to_json(metrics));
  write_line(line.dump());
}

void JsonLinesSink::on_evaluation(const EvaluationMetrics& metrics) {
  Json line = {{"event", "evaluation"}, {"step", metrics.step}, {"epoch", metrics.epoch}};
  for (const auto& [name, value] : metrics.values) line[fmt::format("eval_{}", name)] = value;
  line.update({{"target_tokens", metrics.target_tokens}, {"seconds", metrics.seconds}});
  write_line(line.dump());
}

void JsonLinesSink::write_line(std::string line) {
  line += '\n';
  const ssize_t written = ::write(descriptor_, line.data(), line.size());
  if (written < 0) core::throw_system_error("write", path_, errno);
  if (static_cast<std::size_t>(written) < line.size()) core::throw_system_error("write", path_, ENOSPC);
}

void JsonLinesSink::sync() {
  if (::fsync(descriptor_) != 0 && errno != EINVAL) core::throw_system_error("sync to disk", path_, errno);
}

void StepTotals::add(const StepMetrics& metrics) {
  seconds_ += metrics.seconds;
  flops_ += metrics.flops;
  possible_flops_ += metrics.peak_flops * metrics.seconds;
  input_wait_s_ += metrics.input_wait * metrics.seconds;
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

std::optional<double> StepTotals::mfu() const {
  if (possible_flops_ == 0) return std::nullopt;
  return flops_ / possible_flops_;
}

Json StepTotals::state() const {
  return {{"loss_sum", loss_sum_},
          {"seconds", seconds_},
          {"tokens", tokens_},
          {"target_tokens", target_tokens_},
          {"skipped_steps", skipped_steps_},
          {"flops", flops_},
          {"possible_flops", possible_flops_},
          {"input_wait_s", input_wait_s_}};
}

void StepTotals::restore(const Json& state) {
  state.at("loss_sum").get_to(loss_sum_);
  state.at("seconds").get_to(seconds_);
  state.at("tokens").get_to(tokens_);
  state.at("target_tokens").get_to(target_tokens_);
  state.at("skipped_steps").get_to(skipped_steps_);
  // Older checkpoints lack these.
  flops_ = state.value("flops", 0.0);
  possible_flops_ = state.value("possible_flops", 0.0);
  input_wait_s_ = state.value("input_wait_s", 0.0);
}

void EpochSink::on_step(const StepMetrics& metrics) {
  totals_.add(metrics);
  if (metrics.step % steps_per_epoch_ != 0 && metrics.step != total_steps_) return;
  epochs_.push_back({metrics.epoch, metrics.step, totals_.loss(), totals_.tokens_per_second(), std::nullopt,
                     totals_.skipped_steps(), totals_.mfu(), totals_.input_wait()});
  totals_ = {};
}

void EpochSink::on_evaluation(const EvaluationMetrics& metrics) { epochs_.back().eval_loss = metrics.eval_loss(); }

Json EpochSink::state() const {
  Json epochs = Json::array();
  for (const EpochMetrics& epoch : epochs_) {
    epochs.push_back({{"epoch", epoch.epoch},
                      {"step", epoch.step},
                      {"loss", epoch.loss},
                      {"tokens_per_second", epoch.tokens_per_second},
                      {"eval_loss", epoch.eval_loss ? Json::array({*epoch.eval_loss}) : Json::array()},
                      {"skipped_steps", epoch.skipped_steps}});
  }
  return {{"epochs", std::move(epochs)}, {"since", totals_.state()}};
}

void EpochSink::restore(const Json& state) {
  try {
    epochs_.clear();
    for (const Json& epoch : state.at("epochs")) {
      std::optional<double> eval_loss;
      if (!epoch.at("eval_loss").empty()) eval_loss = number_or_nan(epoch["eval_loss"][0]);
      epochs_.push_back({epoch.at("epoch").get<double>(), epoch.at("step").get<std::uint64_t>(),
                         number_or_nan(epoch.at("loss")), number_or_nan(epoch.at("tokens_per_second")), eval_loss,
                         epoch.at("skipped_steps").get<std::uint64_t>()});
    }
    totals_.restore(state.at("since"));
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("the checkpoint's record of the epochs is malformed: {}", error.what()));
  }
}

ConsoleSink::ConsoleSink(std::uint64_t total_steps, const EpochSink& epochs, std::uint64_t first_step)
    : progress_("train", "step", total_steps, true, first_step),
      total_steps_(total_steps),
      epochs_(epochs),
      shown_epochs_(epochs.epochs().size()) {}

void ConsoleSink::on_step(const StepMetrics& metrics) {
  const std::string speed = describe_speed(metrics.tokens_per_second(), metrics.mfu(), metrics.input_wait);
  progress_.update(metrics.step, fmt::format("loss {:.4f}{}", metrics.loss, speed));
  if (epochs_.epochs().size() == shown_epochs_) return;
  const EpochMetrics& epoch = epochs_.epochs().back();
  shown_epochs_ = epochs_.epochs().size();
  progress_.clear();
  spdlog::info("epoch {:.4g}: step {}/{}, loss {:.4f}{}{}", epoch.epoch, epoch.step, total_steps_, epoch.loss,
               describe_speed(epoch.tokens_per_second, epoch.mfu, epoch.input_wait),
               epoch.skipped_steps > 0 ? fmt::format(", {} steps skipped", epoch.skipped_steps) : "");
}

void ConsoleSink::on_evaluation(const EvaluationMetrics& metrics) {
  std::vector<std::string> values;
  for (const auto& [name, value] : metrics.values) values.push_back(fmt::format("eval_{} {:.4f}", name, value));
  progress_.clear();
  spdlog::info("epoch {:.4g}: {} over {} target tokens", metrics.epoch, fmt::join(values, ", "), metrics.target_tokens);
}

}  // namespace lockstep::train
