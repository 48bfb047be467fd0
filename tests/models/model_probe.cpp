// Runs a model folder for the oracle tests.
//   model_probe MODEL_DIR CASE.json OUTPUT_DIR [ADAPTER_DIR]
// CASE.json: examples [{input, target}], prompts [[id, ...]], max_new_tokens, batch_size, pad_id, and strategies, the
// settings of each by its name.
// Writes values.safetensors, gradients.safetensors and generated.json (the rows of each strategy) to OUTPUT_DIR, and
// saves the model, or its adapter, to OUTPUT_DIR/saved. Computes on a GPU if LOCKSTEP_DEVICE is cuda.
//   model_probe --create MODEL_DIR SEED OUTPUT_DIR
// Writes a model with random weights.
#include <fmt/format.h>
#include <cstdio>
#include <cstdlib>

#include "lockstep/comm/compute_device.h"
#include "lockstep/core/error.h"
#include "lockstep/generation/decoding.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/models/pretrained.h"
#include "lockstep/models/weights/safetensors.h"

namespace lockstep::models {
namespace {

namespace fs = std::filesystem;
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

// A placeholder: cases contain token ids, so generation never uses the tokenizer.
class NoTokenizer final : public Tokenizer {
 public:
  void encode(std::string_view, std::vector<TokenId>&) const override {}
  std::string decode(std::span<const TokenId>, bool) const override { return {}; }
  std::string token(TokenId) const override { return {}; }
  std::size_t vocabulary_size() const override { return 0; }
};

Batch read_case_batch(const Json& description, const ModelInfo& info) {
  std::vector<data::Example> examples;
  std::vector<std::uint64_t> example_ids;
  for (const Json& example : description.at("examples")) {
    example_ids.push_back(examples.size());
    examples.push_back(
        {example.at("input").get<std::vector<TokenId>>(), example.at("target").get<std::vector<TokenId>>()});
  }
  return collate(examples, example_ids, info.has_encoder, info.decoder_start_id,
                 description.at("pad_id").get<TokenId>());
}

void write_values(LanguageModel& model, const Batch& batch, const fs::path& output) {
  Pass pass;
  const at::Tensor loss_sum = model.loss_sum(batch, pass);
  loss_sum.backward();
  NamedTensors gradients;
  for (const auto& parameter : model.named_parameters()) {
    if (!parameter.value().requires_grad()) {
      if (parameter.value().grad().defined()) throw Error(parameter.key() + " has a gradient although it is frozen");
      continue;
    }
    const at::Tensor& gradient = parameter.value().grad();
    gradients.emplace_back(parameter.key(), gradient.defined() ? gradient : at::zeros_like(parameter.value()));
  }
  write_safetensors(output / "gradients.safetensors", gradients);

  const at::NoGradGuard no_grad;
  write_safetensors(output / "values.safetensors", {{"logits", model.logits(batch, pass)},
                                                    {"row_loss_sums", model.row_loss_sums(batch, pass)},
                                                    {"loss_sum", loss_sum.detach().view({1})}});
}

void write_generated(LanguageModel& model, const Json& description, const fs::path& output) {
  const auto prompts = description.at("prompts").get<std::vector<std::vector<TokenId>>>();
  Json generated = Json::object();
  for (const auto& [name, choices] : description.at("strategies").items()) {
    std::vector<std::pair<std::string, std::string>> settings;
    for (const auto& [key, value] : choices.items()) {
      settings.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
    }
    const GenerationOptions options{.max_new_tokens = description.at("max_new_tokens").get<std::size_t>(),
                                    .batch_size = description.at("batch_size").get<std::size_t>(),
                                    .strategy = generation::make_strategy(name, settings)};
    generated[name] = Json::array();
    for (const generation::Generated& row : generation::generate_ids(model, NoTokenizer(), prompts, options)) {
      generated[name].push_back({{"ids", row.ids}, {"stopped", row.reached_eos}});
    }
  }
  core::write_json_file(output / "generated.json", generated);
}

void probe(const fs::path& folder, const fs::path& case_file, const fs::path& output, const fs::path& adapter) {
  const Json description = core::read_json_file(case_file);
  const auto model = load_model(folder);
  if (!adapter.empty()) load_adapter(*model, adapter);
  if (const char* device = std::getenv("LOCKSTEP_DEVICE")) {
    model->to(comm::compute_device_of_rank(job::value_named<job::DeviceChoice>(device).value(), *make_communicator()));
  }
  write_values(*model, read_case_batch(description, model->info()).to(model->device()), output);
  write_generated(*model, description, output);
  fs::create_directories(output / "saved");
  if (adapter.empty()) {
    save_model(*model, output / "saved");
  } else {
    save_adapter(*model, output / "saved");
  }
}

}  // namespace
}  // namespace lockstep::models

int main(int count, char** arguments) {
  try {
    if (count == 5 && std::string(arguments[1]) == "--create") {
      const auto model = lockstep::models::create_model(arguments[2], std::stoull(arguments[3]));
      lockstep::models::save_model(*model, arguments[4]);
    } else if (count == 4 || count == 5) {
      lockstep::models::probe(arguments[1], arguments[2], arguments[3], count == 5 ? arguments[4] : "");
    } else {
      throw lockstep::InputError("usage: model_probe MODEL_DIR CASE.json OUTPUT_DIR [ADAPTER_DIR]");
    }
  } catch (const lockstep::InputError& error) {
    std::fputs(error.what(), stderr);
    return 2;
  }
  return 0;
}
