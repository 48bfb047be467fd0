#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/models/model.h"

namespace lockstep::models {

/// Reads `config.json` and the weights of a Hugging Face model folder. The weights come from the first of these that
/// exists: `model.safetensors`, `model.safetensors.index.json` with its shards, `pytorch_model.bin`,
/// `pytorch_model.bin.index.json` with its shards. The files are mapped and copied tensor by tensor; nothing in a
/// pickle is executed. Throws InputError, naming the file, if the `model_type` is not supported (the message lists
/// those that are), if a tensor is missing, unexpected or of the wrong shape, or if a file is truncated.
std::shared_ptr<LanguageModel> load_model(const std::filesystem::path& folder);

class WeightFiles;

/// Holds the mapped weights of a model folder. load_model() reads from it; ranks that divide the reading among
/// themselves use it directly.
class PretrainedWeights {
 public:
  /// Maps the weight files of `folder`. Throws InputError, as load_model() does, if a file is missing or malformed.
  explicit PretrainedWeights(const std::filesystem::path& folder);
  ~PretrainedWeights();

  /// Returns whether these weights include an untied output head; pass it to build_model().
  bool has_untied_head() const { return has_own_head_; }
  /// Throws InputError, as load_model() does, unless the tensors match the model's parameters exactly.
  void check(const LanguageModel& model) const;
  /// Copies the weights of the named parameter to `into`.
  void copy(const std::string& parameter, const at::Tensor& into) const;

 private:
  std::unique_ptr<WeightFiles> files_;
  std::map<std::string, std::string> names_;  // parameter -> name in the file
  bool has_own_head_ = false;
};

/// Builds the model that `config.json` describes, with uninitialised weights. Throws InputError as load_model() does.
std::shared_ptr<LanguageModel> build_model(const std::filesystem::path& folder, bool has_untied_head);
/// Builds the model that `config.json` describes, with uninitialised weights and an untied head if `config.json`
/// declares one.
std::shared_ptr<LanguageModel> build_model(const std::filesystem::path& folder);

/// Builds the model that `config.json` describes, with random weights. They follow the distributions of transformers'
/// _init_weights, but come from a different generator, seeded with `seed`.
std::shared_ptr<LanguageModel> create_model(const std::filesystem::path& folder, std::uint64_t seed);

/// Holds the options of save_model().
struct SaveOptions {
  std::optional<TokenId> pad_id = {};             // written if config.json has none
  at::ScalarType type = at::kFloat;               // of the weights: kFloat, kHalf or kBFloat16
  std::uint64_t max_shard_bytes = 5'000'000'000;  // a larger model is written in several files
  /// Tensors to write instead of the model's parameters of the same names, with the same shapes. Those parameters are
  /// not read, so a copy can be saved while training continues. Parameters without an entry are read from the model.
  const std::map<std::string, at::Tensor>* weights = nullptr;
};

/// Writes a model to an existing folder, each file atomically. `config.json` keeps every key that it was read with,
/// except that `architectures`, `dtype` (in place of `torch_dtype`) and a missing padding id are set.
/// `generation_config.json` is written if the source had one. The weights (tied ones once, with the metadata format:
/// pt) go to `model.safetensors`, or to shards followed by `model.safetensors.index.json`. Removes stale safetensors
/// weights and the files of an adapter. Throws InputError if a number exceeds the range of `type`, and Error if the
/// model has an adapter.
void save_model(const LanguageModel& model, const std::filesystem::path& folder, const SaveOptions& options = {});

}  // namespace lockstep::models

namespace lockstep {
using models::SaveOptions;
}  // namespace lockstep
