// Defines the family of Llama (Touvron et al. 2023), computed as in transformers' LlamaForCausalLM.
#include "models/config.h"
#include "models/families/all_families.h"
#include "models/families/decoder_family.h"

namespace lockstep::models {
namespace {

DecoderConfig read_llama(const Json& config) {
  DecoderConfig decoder = read_llama_like(config, {});
  decoder.query_key_value_bias = decoder.attention_output_bias = config_flag(config, "attention_bias", false);
  decoder.mlp_bias = config_flag(config, "mlp_bias", false);
  return decoder;
}

}  // namespace

Family llama_family() {
  return decoder_family({.model_type = "llama",
                         .architecture = "LlamaForCausalLM",
                         .models = "Llama 1, 2 and 3, SmolLM2, TinyLlama",
                         .features = "grouped-query attention, biases, scaled rope",
                         .limits = "",
                         .embedding = "model.embed_tokens.weight",
                         .base_prefix = "model.",
                         .ties_head = false},
                        &read_llama);
}

}  // namespace lockstep::models
