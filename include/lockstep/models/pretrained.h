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

/// Reads `config.json` and the weights of a Hugging Face model folder: `model.safetensors`, its shards by
/// `model.safetensors.index.json`, `pytorch_model.bin`, or its shards, the first of these that is there. The files are
/// mapped and copied tensor by tensor; nothing in a pickle is run. Throws InputError naming the file and: the
/// unsupported `model_type` (with those that are), the missing, surplus or misshaped tensor, the truncated file.
std::shared_ptr<LanguageModel> load_model(const std::filesystem::path& folder);

class WeightFiles;

/// The weights of a model folder, mapped: what load_model() takes them from, for ranks that share the reading.
class PretrainedWeights {
 public:
  /// Throws as load_model() does of malformed files.
  explicit PretrainedWeights(const std::filesystem::path& folder);
  ~PretrainedWeights();

  /// What a model must be built with to hold them.
  bool has_own_head() const { return has_own_head_; }
  /// Throws as load_model() does unless these are the model's parameters, no more and no less.
  void check(const LanguageModel& model) const;
  /// Copies the weights of one of the model's parameters.
  void copy(const std::string& parameter, at::Tensor into) const;

 private:
  std::unique_ptr<WeightFiles> files_;
  std::map<std::string, std::string> names_;  // parameter -> as stored
  bool has_own_head_ = false;
};

/// The model of `config.json` alone, whose weights are unset. Throws InputError as load_model() does.
std::shared_ptr<LanguageModel> build_model(const std::filesystem::path& folder, bool has_own_head);
/// With a head of its own if `config.json` says so.
std::shared_ptr<LanguageModel> build_model(const std::filesystem::path& folder);

/// Random weights by `config.json` alone, drawn as transformers' _init_weights draws them (same distributions, own
/// generator seeded with `seed`).
std::shared_ptr<LanguageModel> create_model(const std::filesystem::path& folder, std::uint64_t seed);

/// How a model is saved.
struct SaveOptions {
  std::optional<TokenId> pad_id = {};             // for a config.json that has none
  at::ScalarType type = at::kFloat;               // of the weights: kFloat, kHalf or kBFloat16
  std::uint64_t max_shard_bytes = 5'000'000'000;  // a larger model is written in several files
  /// By names of parameters, in their shapes: written instead of the model's own, which are not read then, so that a
  /// copy can be saved while training goes on. Parameters that are missing here are the model's own.
  const std::map<std::string, at::Tensor>* weights = nullptr;
};

/// Writes `config.json` (every key it came with; `architectures`, `dtype` and the padding id as saved),
/// `generation_config.json` where the source had one and the weights (tied ones once, metadata format: pt) into an
/// existing folder, each file atomically: `model.safetensors`, or shards and last `model.safetensors.index.json`.
/// Weights of that name which another model left there are removed, and an adapter's files. Throws InputError for a
/// number beyond the range of `type`.
void save_model(const LanguageModel& model, const std::filesystem::path& folder, const SaveOptions& options = {});

}  // namespace lockstep::models

namespace lockstep {
using models::SaveOptions;
}  // namespace lockstep
