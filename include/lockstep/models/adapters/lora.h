#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/models/model.h"

namespace lockstep::models {

/// A LoRA adapter (Hu et al. 2021): chosen linear layers y = W x become y = W x + scale x B A dropout(x).
struct LoraConfig {
  std::int64_t rank = 8;
  std::int64_t alpha = 16;  // scale = alpha / rank
  bool use_rslora = false;  // scale = alpha / sqrt(rank) (Kalajdzievski 2023)
  double dropout = 0;       // of the adapter's input, while it is trained
  /// Ends of module paths as transformers names them ("q_proj", "layers.0.mlp.up_proj"), or "all-linear": every one but
  /// the output head. Empty: those that peft takes for the model's family.
  std::vector<std::string> target_modules = {};
};

inline constexpr const char* kAllLinear = "all-linear";

/// Gives a model without an adapter a new one, which computes nothing yet: A drawn as peft draws it, by `seed`, and B
/// 0. From then on the adapter alone requires gradients. Throws InputError, listing the modules that there are, for a
/// target that names none.
void add_lora(LanguageModel& model, const LoraConfig& config, std::uint64_t seed);

bool has_adapter(const LanguageModel& model);

/// Reads what peft's save_pretrained() wrote, adapter_config.json with adapter_model.safetensors or adapter_model.bin,
/// onto its base. From then on the adapter alone requires gradients. Throws InputError naming the file and the option
/// that is not computed, or the missing, surplus or misshaped tensor.
void load_adapter(LanguageModel& model, const std::filesystem::path& folder);

/// Copies the weights of an adapter of the same shape, in `folder`, into those of the model's. Throws InputError for
/// another.
void copy_adapter(const std::filesystem::path& folder, LanguageModel& model);

/// The dropout of a model's adapter for further training. Throws InputError if it cannot be applied.
void set_adapter_dropout(LanguageModel& model, double dropout);

/// Writes adapter_model.safetensors, in `type`, and adapter_config.json, with every key that it came with, into an
/// existing folder, each file atomically: peft loads them. `weights` as in SaveOptions (models/pretrained.h).
void save_adapter(const LanguageModel& model, const std::filesystem::path& folder, at::ScalarType type = at::kFloat,
                  const std::map<std::string, at::Tensor>* weights = nullptr);

/// Adds scale x B A to the weights and takes the adapter away, as peft's merge_and_unload(). All weights then require
/// gradients.
void merge_adapter(LanguageModel& model);

/// Removes the adapter's files that save_adapter() or peft left in `folder`, where a whole model is to lie:
/// transformers would apply them to it.
void remove_adapter_files(const std::filesystem::path& folder);

}  // namespace lockstep::models
