#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "lockstep/models/model.h"

namespace lockstep {

/// Reads `config.json` and `model.safetensors` of a Hugging Face model folder. Throws InputError naming the file
/// and: the unsupported `model_type` (with those that are), the missing, surplus or misshaped tensor, the truncated
/// file.
std::shared_ptr<LanguageModel> load_model(const std::filesystem::path& folder);

/// Random weights by `config.json` alone, drawn as transformers' _init_weights draws them (same distributions, own
/// generator seeded with `seed`).
std::shared_ptr<LanguageModel> create_model(const std::filesystem::path& folder, std::uint64_t seed);

/// Writes `config.json` (every key it came with; `architectures`, `dtype` and the padding id as saved),
/// `generation_config.json` where the source had one and `model.safetensors` (tied weights once, metadata format: pt)
/// into an existing folder, each atomically.
void save_model(const LanguageModel& model, const std::filesystem::path& folder, std::optional<TokenId> pad_id);

}  // namespace lockstep
