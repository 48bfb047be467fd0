#include "lockstep/train/activation_plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lockstep/comm/compute_device.h"
#include "lockstep/comm/placement.h"
#include "lockstep/core/json.h"

namespace lockstep::train {
namespace {

using job::GradientCheckpointing;

constexpr double kShare = 0.5;
// Passes of fewer tokens cost too much to be chosen because of an estimate. Recomputing layers costs a third more,
// which is about the fixed cost of a pass (batching/batch_cost.cpp) with somewhat fewer tokens.
constexpr std::uint64_t kMinTokens = 256;

// Returns how many tokens' activations fit.
double room(const ModelSize& model, bool recomputes_layers, const RankMemory& memory) {
  const double of_a_token = activation_bytes(model, recomputes_layers);
  if (memory.usable == 0 || of_a_token == 0) return std::numeric_limits<double>::infinity();
  return kShare * (memory.usable - memory.held) / of_a_token;
}

// Returns the memory of the rank with the least, or 0 if unknown.
double usable_memory(const at::Device& device, Communicator& communicator) {
  const Json own = {{"place", comm::own_placement(1).host + " " + device.str()},
                    {"bytes", comm::device_memory_bytes(device)}};
  std::map<std::string, std::vector<double>> bytes_of_place;
  for (const std::string& text : comm::all_gather_texts(communicator, own.dump())) {
    const Json rank = Json::parse(text);
    bytes_of_place[rank["place"].get<std::string>()].push_back(rank["bytes"].get<double>());
  }
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [place, bytes] : bytes_of_place) {
    const double of_place = *std::ranges::min_element(bytes);
    if (of_place > 0) least = std::min(least, of_place / static_cast<double>(bytes.size()));
  }
  return std::isinf(least) ? 0 : least;
}

}  // namespace

ActivationPlan plan_activations(const ModelSize& model, const Hyperparameters& hyperparameters,
                                const RankMemory& memory, std::uint64_t enough, std::uint64_t longest_row) {
  const auto asked = static_cast<std::uint64_t>(hyperparameters.max_tokens_per_micro_batch.value_or(0));
  const auto needed = static_cast<double>(std::max(asked > 0 ? asked : kMinTokens, longest_row));
  const GradientCheckpointing setting = hyperparameters.gradient_checkpointing;
  const bool recomputes =
      setting == GradientCheckpointing::kOn ||
      (setting == GradientCheckpointing::kAuto && room(model, /*recomputes_layers=*/false, memory) < needed);
  if (asked > 0) return {asked, recomputes};
  const double fits =
      std::clamp(room(model, recomputes, memory), static_cast<double>(kMinTokens), static_cast<double>(enough));
  return {static_cast<std::uint64_t>(fits), recomputes};
}

std::uint64_t longest_row(const TokenizedDataset& rows) {
  std::uint64_t longest = 0;
  for (std::uint64_t i = 0; i < rows.size(); ++i) {
    longest = std::max(longest, std::uint64_t{rows.input_length(i)} + rows.target_length(i));
  }
  return longest;
}

ActivationPlan agree_on_activations(const LanguageModel& model, const TokenizedDataset& training,
                                    const Hyperparameters& hyperparameters, Communicator& communicator) {
  const at::Device device = model.device();
  const ModelSize size = measure_model(model, hyperparameters.optim);
  const bool may_choose = hyperparameters.gradient_checkpointing == GradientCheckpointing::kAuto;
  const RankMemory memory{.usable = usable_memory(device, communicator),
                          .held = held_bytes(size, communicator.world_size(), hyperparameters.optimizer_sharding,
                                             static_cast<double>(hyperparameters.ddp_bucket_cap_mb << 20))};
  return plan_activations(size, hyperparameters, memory, device.is_cuda() ? kMaxTokensOnGpu : kMaxTokensOnHost,
                          may_choose ? longest_row(training) : 0);
}

}  // namespace lockstep::train
