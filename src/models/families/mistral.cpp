// Defines the family of Mistral (Jiang et al. 2023), computed as in transformers' MistralForCausalLM.
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderConfig read_mistral(const Json& config) {
  DecoderConfig decoder =
      read_llama_like(config, {.inner_features = 14336, .key_value_heads = 8, .max_positions = 4096 * 32});
  decoder.windows.assign(decoder.windows.size(), config_optional_integer(config, "sliding_window", 4096));
  return decoder;
}

}  // namespace

Family mistral_family() {
  return decoder_family({.model_type = "mistral",
                         .architecture = "MistralForCausalLM",
                         .models = "Mistral 7B and Nemo, Zephyr",
                         .features = "grouped-query attention, sliding window, scaled rope",
                         .embedding = "model.embed_tokens.weight",
                         .base_prefix = "model.",
                         .ties_head = false},
                        &read_mistral);
}

}  // namespace lockstep::models
