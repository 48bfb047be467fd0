#pragma once

namespace lockstep::test {

// Configs of small models that together cover everything that models compute.
inline constexpr const char* kFamilyConfigs[] = {
    R"({"model_type": "t5", "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_decoder_layers": 2,
        "num_heads": 2, "vocab_size": 20, "dropout_rate": 0.2, "decoder_start_token_id": 0})",
    R"({"model_type": "umt5", "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2, "vocab_size": 20,
        "dropout_rate": 0, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
        "decoder_start_token_id": 0})",
    R"({"model_type": "gpt2", "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": 20,
        "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1})",
    R"({"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 20})",
    R"({"model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 20, "max_position_embeddings": 4,
        "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}})",
    R"({"model_type": "gemma2", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 20, "sliding_window": 3})",
    R"({"model_type": "gptj", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, "vocab_size": 20,
        "rotary_dim": 4, "attn_pdrop": 0.1})",
    R"({"model_type": "gpt_neo", "hidden_size": 8, "num_layers": 2, "num_heads": 2, "vocab_size": 20,
        "max_position_embeddings": 40, "window_size": 2, "attention_types": [[["global", "local"], 1]]})",
    R"({"model_type": "falcon", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 20,
        "alibi": true, "multi_query": false, "parallel_attn": false, "new_decoder_architecture": false})",
    R"({"model_type": "opt", "hidden_size": 8, "word_embed_proj_dim": 4, "ffn_dim": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 20, "max_position_embeddings": 40, "dropout": 0.1})",
};

}  // namespace lockstep::test
