#include "lockstep/train/checkpoints/trainer_state.h"

#include <fmt/format.h>
#include <cmath>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/train/checkpoints/checkpoint.h"

namespace lockstep::train {
namespace {

constexpr std::uint64_t kVersion = 1;

// Uses JSON objects, so that the file is easy to read.
Json to_object(const comm::SharedFacts& facts) {
  Json object = Json::object();
  for (const auto& [name, value] : facts) object[name] = value;
  return object;
}

comm::SharedFacts to_facts(const Json& object) {
  comm::SharedFacts facts;
  for (const auto& [name, value] : object.items()) facts.emplace_back(name, value.get<std::string>());
  return facts;
}

}  // namespace

bool BestEvaluation::take(const EvaluationMetrics& evaluation) {
  ++evaluations_since;
  const double loss = evaluation.eval_loss();
  if (!std::isfinite(loss) || (metric && loss >= *metric)) return false;
  *this = {loss, evaluation.step, 0};
  return true;
}

std::string TrainerState::to_text() const {
  const Json json = {
      {"version", kVersion},
      {"step", loop.position.step},
      {"is_evaluated", loop.position.is_evaluated},
      {"is_finished", is_finished},
      {"optimizer_updates", loop.optimizer_updates},
      {"skipped_steps", loop.skipped_steps},
      {"skipped_in_a_row", loop.skipped_in_a_row},
      {"loss_scale", loop.loss_scaler.scale},
      {"steps_at_loss_scale", loop.loss_scaler.steps},
      {"best_metric", loop.best.metric ? Json(*loop.best.metric) : Json()},
      {"best_step", loop.best.step},
      {"evaluations_since_best", loop.best.evaluations_since},
      {"global_batch_size", global_batch_size},
      {"ranks", ranks},
      {"epochs", epochs},
      {"identity", to_object(identity)},
      {"settings", to_object(settings)},
  };
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

TrainerState TrainerState::from_text(const std::string& text, const std::string& where) {
  try {
    core::check_json_nesting(text);
    const Json json = Json::parse(text);
    if (json.at("version") != kVersion) {
      throw InputError(
          fmt::format("expected version {}, found {}; resume it with the version of Lockstep that wrote it", kVersion,
                      json["version"].dump()));
    }
    TrainerState state;
    state.loop.position = {core::json_count(json.at("step")), json.at("is_evaluated").get<bool>()};
    state.loop.optimizer_updates = core::json_count(json.at("optimizer_updates"));
    state.loop.skipped_steps = core::json_count(json.at("skipped_steps"));
    state.loop.skipped_in_a_row = core::json_count(json.at("skipped_in_a_row"));
    // Checkpoints written before fp16 was supported have none.
    if (json.contains("loss_scale")) {
      state.loop.loss_scaler = {json["loss_scale"].get<double>(), core::json_count(json.at("steps_at_loss_scale"))};
      if (!(state.loop.loss_scaler.scale >= 1)) {
        throw InputError(fmt::format("loss_scale: expected 1 or more, found {}", json["loss_scale"].dump()));
      }
    }
    if (!json.at("best_metric").is_null()) state.loop.best.metric = json["best_metric"].get<double>();
    state.loop.best.step = core::json_count(json.at("best_step"));
    state.loop.best.evaluations_since = core::json_count(json.at("evaluations_since_best"));
    state.is_finished = json.at("is_finished").get<bool>();
    state.global_batch_size = core::json_count(json.at("global_batch_size"));
    state.ranks = static_cast<int>(core::json_count(json.at("ranks"), INT32_MAX));
    state.epochs = json.at("epochs");
    state.identity = to_facts(json.at("identity"));
    state.settings = to_facts(json.at("settings"));
    return state;
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", where, error.what()));
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: not what Lockstep writes: {}", where, error.what()));
  }
}

void TrainerState::write(const std::filesystem::path& folder) const {
  core::write_file(folder / kTrainerStateFile, to_text());
}

TrainerState TrainerState::read(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kTrainerStateFile;
  return from_text(core::read_file(path), path.string());
}

}  // namespace lockstep::train
