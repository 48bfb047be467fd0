#include "lockstep/train/token_limit.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "lockstep/comm/compute_device.h"
#include "lockstep/comm/placement.h"
#include "lockstep/core/json.h"

namespace lockstep {
namespace {

constexpr double kShare = 0.5;  // of what is left: activations are estimated roughly, and a pass has more beside them
// Passes of fewer tokens cost too much for an estimate to be a reason.
constexpr double kFewestTokens = 256;

}  // namespace

std::uint64_t token_limit(double of_a_token, double held, double memory_bytes, std::uint64_t enough) {
  if (memory_bytes == 0 || of_a_token == 0) return enough;
  const double tokens = kShare * (memory_bytes - held) / of_a_token;
  return static_cast<std::uint64_t>(std::clamp(tokens, kFewestTokens, static_cast<double>(enough)));
}

std::uint64_t agree_on_token_limit(const LanguageModel& model, const Hyperparameters& hyperparameters,
                                   Communicator& communicator) {
  if (hyperparameters.max_tokens_per_micro_batch) {
    return static_cast<std::uint64_t>(*hyperparameters.max_tokens_per_micro_batch);
  }
  const at::Device device = model.device();
  const Json own = {{"place", own_placement(1).host + " " + device.str()}, {"bytes", memory_of_device(device)}};
  std::map<std::string, std::vector<double>> bytes_of_place;
  for (const std::string& text : texts_of_ranks(communicator, own.dump())) {
    const Json rank = Json::parse(text);
    bytes_of_place[rank["place"].get<std::string>()].push_back(rank["bytes"].get<double>());
  }
  const ModelSize size = size_of(model, hyperparameters.optim);
  const double of_a_token = activation_bytes(size, hyperparameters.gradient_checkpointing);
  const double held = held_bytes(size, communicator.world_size(), hyperparameters.optimizer_sharding,
                                 static_cast<double>(hyperparameters.ddp_bucket_cap_mb << 20));
  const std::uint64_t enough = device.is_cuda() ? kEnoughTokensOnGpu : kEnoughTokensOnHost;
  std::uint64_t limit = enough;
  for (const auto& [place, bytes] : bytes_of_place) {
    const double share = *std::ranges::min_element(bytes) / static_cast<double>(bytes.size());
    limit = std::min(limit, token_limit(of_a_token, held, share, enough));
  }
  return limit;
}

}  // namespace lockstep
