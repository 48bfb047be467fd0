#include "lockstep/train/same_inputs.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::train {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{8} << 20;  // hashed by one thread at a time

// Uses the standard library's hash, which takes several gigabytes a second; it only has to agree between the processes
// of a job.
std::uint64_t hash_bytes(std::string_view bytes) { return std::hash<std::string_view>{}(bytes); }

void add_data(comm::SharedFacts& facts, const std::string& name, const TokenizedDataset* dataset) {
  if (dataset == nullptr) return;
  facts.emplace_back(name, fmt::format("{} rows (sha256 {:.12}...)", dataset->size(), dataset->content_digest()));
  facts.emplace_back("tokenizer of the " + name, fmt::format("sha256 {:.12}...", dataset->tokenizer_digest()));
}

void add_config(comm::SharedFacts& facts, const char* file, const Json& config) {
  for (const auto& [key, value] : config.items()) facts.emplace_back(fmt::format("{} of {}", key, file), value.dump());
}

// Hashes pieces of all parameters in parallel, so that no thread has to hash a large parameter on its own.
void add_parameters(comm::SharedFacts& facts, const LanguageModel& model) {
  std::vector<at::Tensor> contiguous;
  std::vector<std::string_view> pieces;
  std::vector<std::size_t> first_pieces;  // one per parameter
  const auto parameters = model.named_parameters();
  for (const auto& parameter : parameters) {
    contiguous.push_back(parameter.value().detach().cpu().contiguous());
    std::string_view bytes(static_cast<const char*>(contiguous.back().data_ptr()), contiguous.back().nbytes());
    first_pieces.push_back(pieces.size());
    for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kPieceBytes))) {
      pieces.push_back(bytes.substr(0, kPieceBytes));
    }
  }
  first_pieces.push_back(pieces.size());
  std::vector<std::uint64_t> hashes(pieces.size());
  at::parallel_for(0, static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      hashes[i] = hash_bytes(pieces[i]);
  });
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::size_t count = first_pieces[i + 1] - first_pieces[i];
    const auto* of_parameter = reinterpret_cast<const char*>(hashes.data() + first_pieces[i]);
    facts.emplace_back(fmt::format("weights of {}", parameters[i].key()),
                       fmt::format("{} with hash {:016x}", fmt::join(contiguous[i].sizes(), "x"),
                                   hash_bytes({of_parameter, count * sizeof(std::uint64_t)})));
  }
}

}  // namespace

void check_same_settings(Communicator& communicator, const comm::SharedFacts& settings) {
  if (communicator.world_size() == 1) return;
  comm::check_agreement(communicator, {{"Lockstep's version", LOCKSTEP_VERSION}},
                        "start the same program on all nodes");
  comm::check_agreement(communicator, settings, "give all ranks the same job file and the same keys");
}

comm::SharedFacts data_facts(const TokenizedDataset& training, const TokenizedDataset* validation) {
  comm::SharedFacts facts;
  add_data(facts, "training data", &training);
  add_data(facts, "validation data", validation);
  return facts;
}

comm::SharedFacts model_facts(const LanguageModel& model) {
  comm::SharedFacts facts;
  add_config(facts, "config.json", model.info().config);
  add_config(facts, "adapter_config.json", model.info().adapter_config);
  add_parameters(facts, model);
  return facts;
}

void check_same_data(Communicator& communicator, const TokenizedDataset& training, const TokenizedDataset* validation) {
  if (communicator.world_size() == 1) return;
  comm::check_agreement(communicator, data_facts(training, validation),
                        "prepare the data once, and give all ranks the same or copies of it");
}

void check_same_model(Communicator& communicator, const LanguageModel& model) {
  if (communicator.world_size() == 1) return;
  comm::check_agreement(communicator, model_facts(model),
                        "give all ranks the same model folder or copies of it, or let rank 0 send its weights to all "
                        "(weights_io: broadcast)");
}

}  // namespace lockstep::train
