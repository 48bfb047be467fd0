#pragma once

#include <memory>
#include <string>

#include "data/fixtures.h"
#include "lockstep/core/json.h"
#include "lockstep/models/pretrained.h"

namespace lockstep::test {

inline constexpr const char* kSmallConfigs[] = {
    R"({"model_type": "t5", "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2, "vocab_size": 20,
        "dropout_rate": 0.2, "decoder_start_token_id": 0})",
    R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": 20})",
    R"({"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20, "pad_token_id": 3})",
};

/// Creates a model with random weights from the text of its config.json.
inline std::shared_ptr<LanguageModel> model_of(const std::string& config) {
  const TemporaryFolder folder;
  core::write_json_file(folder.path() / "config.json", Json::parse(config));
  return models::create_model(folder.path(), 1);
}

}  // namespace lockstep::test
