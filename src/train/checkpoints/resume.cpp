#include "lockstep/train/checkpoints/resume.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/train/checkpoints/checkpoint.h"
#include "lockstep/train/same_inputs.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStartAnew =
    "to start over, give another output_dir, or resume_from_checkpoint: never with overwrite_output_dir: true";

// Keys that affect the results, but neither the order of the data nor the content of a checkpoint.
constexpr std::array kShapingKeys = {
    "num_train_epochs",  "max_steps",           "learning_rate",         "weight_decay",
    "adam_beta1",        "adam_beta2",          "adam_epsilon",          "lr_scheduler_type",
    "warmup_steps",      "warmup_ratio",        "max_grad_norm",         "neftune_noise_alpha",
    "max_skipped_steps", "evaluation_strategy", "gradient_reduce_dtype", "early_stopping_patience"};

// Returns the default for a checkpoint that was written before the key existed.
std::string setting(const std::string& key, const comm::SharedFacts& settings) {
  const auto found = std::ranges::find(settings, key, &comm::SharedFacts::value_type::first);
  return found == settings.end() ? setting(key, Hyperparameters().values()) : found->second;
}

std::string difference_of_runs(const TrainerState& saved, const Hyperparameters& hyperparameters,
                               const comm::SharedFacts& identity) {
  std::string difference = comm::describe_differences(saved.identity, identity);
  const auto compare = [&](const char* key, const auto& expected, const auto& found) {
    if (expected == found) return;
    difference += fmt::format("{}{}: expected {}, found {}", difference.empty() ? "" : "; ", key, expected, found);
  };
  const auto rows = static_cast<std::uint64_t>(hyperparameters.global_batch_size.value_or(0));
  if (rows != 0) compare("global_batch_size", saved.global_batch_size, rows);
  compare("optim", setting("optim", saved.settings), setting("optim", hyperparameters.values()));
  return difference;
}

[[noreturn]] void refuse(const fs::path& checkpoint, const std::string& difference) {
  throw InputError(
      fmt::format("{}: a checkpoint of another run ({}); {}", checkpoint.string(), difference, kStartAnew));
}

ResumePoint open_named(const fs::path& checkpoint, const Hyperparameters& hyperparameters,
                       const comm::SharedFacts& identity) {
  if (const std::string flaw = find_defect(checkpoint); !flaw.empty()) {
    throw InputError(
        fmt::format("resume_from_checkpoint: {}: {}; give another checkpoint, or auto", checkpoint.string(), flaw));
  }
  ResumePoint point{checkpoint, TrainerState::read(checkpoint)};
  const std::string difference = difference_of_runs(point.state, hyperparameters, identity);
  if (!difference.empty()) refuse(checkpoint, difference);
  return point;
}

std::optional<ResumePoint> open_newest(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity) {
  const fs::path output_dir = hyperparameters.output_dir;
  const CheckpointFolder folder(output_dir);
  const std::vector<std::uint64_t> steps = folder.steps();
  for (std::size_t i = steps.size(); i-- > 0;) {
    const fs::path checkpoint = folder.path(steps[i]);
    if (const std::string flaw = find_defect(checkpoint); !flaw.empty()) {
      spdlog::warn("{} is skipped: {}", checkpoint.string(), flaw);
      continue;
    }
    ResumePoint point{checkpoint, TrainerState::read(checkpoint)};
    const std::string difference = difference_of_runs(point.state, hyperparameters, identity);
    if (difference.empty()) return point;
    if (!hyperparameters.overwrite_output_dir) refuse(checkpoint, difference);
    spdlog::info("{} is of another run ({}): overwrite_output_dir starts over", checkpoint.string(), difference);
    return std::nullopt;
  }
  if (steps.empty() || hyperparameters.overwrite_output_dir) return std::nullopt;
  throw InputError(
      fmt::format("{}: expected an intact checkpoint, found none among {} (see the warnings); restore one, or {}",
                  output_dir.string(), steps.size(), kStartAnew));
}

// Returns the state of the run in `output_dir`, if Lockstep wrote one.
std::optional<TrainerState> run_in(const fs::path& output_dir) {
  try {
    return TrainerState::read(output_dir);
  } catch (const InputError&) {
    return std::nullopt;  // transformers also writes a file of this name
  }
}

std::optional<ResumePoint> choose(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity) {
  const job::ResumeFrom& from = hyperparameters.resume_from_checkpoint;
  if (from.kind == job::ResumeFrom::Kind::kNever) return std::nullopt;
  if (from.kind == job::ResumeFrom::Kind::kFolder) return open_named(from.folder, hyperparameters, identity);
  const auto run = run_in(hyperparameters.output_dir);
  if (hyperparameters.overwrite_output_dir && run && run->is_finished) return std::nullopt;
  return open_newest(hyperparameters, identity);
}

}  // namespace

comm::SharedFacts run_identity(const Hyperparameters& hyperparameters, const TokenizedDataset& training,
                               const TokenizedDataset* validation, const LanguageModel& model) {
  comm::SharedFacts identity = {{"seed", fmt::to_string(hyperparameters.seed)}};
  std::ranges::copy(data_facts(training, validation), std::back_inserter(identity));
  std::string weights;
  for (const auto& [name, value] : model_facts(model)) {
    if (name.starts_with("weights of ")) {
      weights += fmt::format("{}: {}\n", name, value);
    } else {
      identity.emplace_back(name, value);
    }
  }
  identity.emplace_back("the model's weights at the start", fmt::format("sha256 {:.12}...", core::sha256(weights)));
  return identity;
}

std::optional<ResumePoint> find_resume_point(const Hyperparameters& hyperparameters, const comm::SharedFacts& identity,
                                             Communicator& communicator) {
  std::optional<ResumePoint> point;
  comm::run_on_all(communicator, [&] {
    if (communicator.is_root()) point = choose(hyperparameters, identity);
  });
  const std::string checkpoint = comm::broadcast_text(communicator, point ? point->checkpoint.string() : "");
  const std::string state = comm::broadcast_text(communicator, point ? point->state.to_text() : "");
  if (checkpoint.empty()) return std::nullopt;
  return ResumePoint{checkpoint, TrainerState::from_text(state, checkpoint)};
}

bool holds_unfinished_run(const fs::path& output_dir, const comm::SharedFacts& identity) {
  const auto run = run_in(output_dir);
  return run && !run->is_finished && comm::describe_differences(run->identity, identity).empty();
}

bool holds_finished_run(const fs::path& output_dir, const Hyperparameters& hyperparameters,
                        const comm::SharedFacts& identity) {
  const auto run = run_in(output_dir);
  return run && run->is_finished && comm::describe_differences(run->identity, identity).empty() &&
         comm::describe_differences(run->settings, hyperparameters.values()).empty();
}

void load_checkpoint_weights(const fs::path& checkpoint, LanguageModel& model) {
  if (models::has_adapter(model)) return models::copy_adapter(checkpoint, model);
  const models::PretrainedWeights weights(checkpoint);
  weights.check(model);
  for (const auto& parameter : model.named_parameters()) weights.copy(parameter.key(), parameter.value());
}

void warn_about_changed_settings(const ResumePoint& point, const Hyperparameters& hyperparameters) {
  const auto shaping = [](comm::SharedFacts settings) {
    std::erase_if(settings, [](const auto& setting) {
      return std::ranges::find(kShapingKeys, std::string_view(setting.first)) == kShapingKeys.end();
    });
    return settings;
  };
  const std::string difference =
      comm::describe_differences(shaping(point.state.settings), shaping(hyperparameters.values()));
  if (difference.empty()) return;
  spdlog::warn("{} was written with other settings ({}): the run continues with the new ones",
               point.checkpoint.string(), difference);
}

}  // namespace lockstep::train
