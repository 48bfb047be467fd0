#include "lockstep/train/base_trainer.h"

#include <functional>

#include "lockstep/core/error.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep {
namespace {

// Loading the tokenizer is quick and names most mistakes; the weights come after it.
TrainedModel with_tokenizer(const std::filesystem::path& folder,
                            const std::function<std::shared_ptr<LanguageModel>()>& make_model) {
  const ModelFolder description = describe_model_folder(folder);
  TrainedModel trained;
  trained.tokenizer = load_tokenizer(folder);
  check_vocabulary(*trained.tokenizer, description.vocabulary_size);
  trained.model = make_model();
  return trained;
}

}  // namespace

TrainedModel TrainedModel::load(const std::filesystem::path& folder) {
  return with_tokenizer(folder, [&] { return load_model(folder); });
}

TrainedModel TrainedModel::create(const std::filesystem::path& folder, std::uint64_t seed) {
  return with_tokenizer(folder, [&] { return create_model(folder, seed); });
}

std::vector<std::string> TrainedModel::generate(const std::vector<std::string>& prompts,
                                                const GenerationOptions& options) const {
  return lockstep::generate(*model, *tokenizer, prompts, options);
}

void TrainedModel::save(const std::filesystem::path& folder, SaveOptions options) const {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw_system_error("create the folder", folder, error.value());
  options.pad_id = tokenizer->pad_id();
  save_model(*model, folder, options);
  tokenizer->save(folder);
}

}  // namespace lockstep
