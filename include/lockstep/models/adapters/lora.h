#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/models/model.h"

namespace lockstep::models {

/// Describes a LoRA adapter (Hu et al. 2021), which turns selected linear layers y = W x into y = W x + scale x B A
/// dropout(x).
struct LoraConfig {
  std::int64_t rank = 8;
  std::int64_t alpha = 16;  // scale = alpha / rank
  bool use_rslora = false;  // scale = alpha / sqrt(rank) (Kalajdzievski 2023)
  double dropout = 0;       // of the adapter's input, in training
  /// Suffixes of module paths in transformers' names ("q_proj", "layers.0.mlp.up_proj"), or "all-linear" for every
  /// linear layer except the output head. If empty, peft's defaults for the model's family are used.
  std::vector<std::string> target_modules = {};
};

inline constexpr const char* kAllLinear = "all-linear";

/// Adds a new adapter to a model that has none. A is drawn from peft's distribution with `seed` and B is 0, so the
/// model's outputs do not change. Afterwards only the adapter requires gradients. Throws InputError, listing the
/// model's linear layers, if a target matches none.
void add_lora(LanguageModel& model, const LoraConfig& config, std::uint64_t seed);

bool has_adapter(const LanguageModel& model);

/// Loads an adapter written by peft's save_pretrained() (adapter_config.json with adapter_model.safetensors or
/// adapter_model.bin) into its base model. Afterwards only the adapter requires gradients. Throws InputError naming the
/// file and the unsupported option, or the tensor that is missing, unexpected or of the wrong shape.
void load_adapter(LanguageModel& model, const std::filesystem::path& folder);

/// Copies the weights of the adapter in `folder` to the model's adapter. Throws InputError if a tensor
/// is missing or has another shape.
void copy_adapter(const std::filesystem::path& folder, LanguageModel& model);

/// Sets the dropout of a model's adapter for further training. Throws InputError if the adapter covers the output head
/// and `dropout` is not 0.
void set_adapter_dropout(LanguageModel& model, double dropout);

/// Writes adapter_model.safetensors, in `type`, and adapter_config.json, with every key that it was read with, to an
/// existing folder, each file atomically, in peft's format. `weights` has the meaning of SaveOptions::weights
/// (models/pretrained.h).
void save_adapter(const LanguageModel& model, const std::filesystem::path& folder, at::ScalarType type = at::kFloat,
                  const std::map<std::string, at::Tensor>* weights = nullptr);

/// Adds scale x B A to the weights and removes the adapter, as peft's merge_and_unload() does. Afterwards all weights
/// require gradients.
void merge_adapter(LanguageModel& model);

/// Removes the adapter files of save_adapter() or peft from `folder`, which is to hold a whole model: transformers
/// would apply the adapter to it.
void remove_adapter_files(const std::filesystem::path& folder);

}  // namespace lockstep::models
