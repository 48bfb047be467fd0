// GPT-2 (Radford et al. 2019) as transformers' GPT2LMHeadModel computes it.
#include <fmt/format.h>

#include <cmath>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/models/attention.h"
#include "lockstep/models/config.h"
#include "lockstep/models/families.h"
#include "lockstep/models/kv_cache.h"
#include "lockstep/models/layers.h"
#include "lockstep/models/loss.h"

namespace lockstep {
namespace {

struct Gpt2Config {
  std::int64_t vocabulary, positions, features, layers, heads, inner_features;
  double embedding_dropout, attention_dropout, residual_dropout, norm_epsilon, initializer_range;
  Activation activation;
  bool scale_attention, scale_by_inverse_layer;

  explicit Gpt2Config(const Json& config)
      : vocabulary(config_integer(config, "vocab_size", 50257)),
        positions(config_integer(config, "n_positions", 1024)),
        features(config_integer(config, "n_embd", 768)),
        layers(config_integer(config, "n_layer", 12)),
        heads(config_integer(config, "n_head", 12)),
        inner_features(config_integer(config, "n_inner", 4 * features)),
        embedding_dropout(config_probability(config, "embd_pdrop", 0.1)),
        attention_dropout(config_probability(config, "attn_pdrop", 0.1)),
        residual_dropout(config_probability(config, "resid_pdrop", 0.1)),
        norm_epsilon(config_number(config, "layer_norm_epsilon", 1e-5)),
        initializer_range(config_number(config, "initializer_range", 0.02)),
        activation(activation_by_name(config_text(config, "activation_function", "gelu_new"))),
        scale_attention(config_flag(config, "scale_attn_weights", true)),
        scale_by_inverse_layer(config_flag(config, "scale_attn_by_inverse_layer_idx", false)) {
    refuse_config_flag(config, "add_cross_attention");
    if (features % heads != 0) {
      throw InputError(fmt::format("config.json: n_embd {} is not divisible by n_head {}", features, heads));
    }
  }
};

struct Gpt2Attention : torch::nn::Module {
  Gpt2Attention(const Gpt2Config& config, std::int64_t layer)
      : heads(config.heads),
        dropout(config.attention_dropout),
        c_attn(register_module("c_attn", std::make_shared<Conv1D>(config.features, 3 * config.features))),
        c_proj(register_module("c_proj", std::make_shared<Conv1D>(config.features, config.features))) {
    if (config.scale_attention) scale /= std::sqrt(static_cast<double>(config.features / config.heads));
    if (config.scale_by_inverse_layer) scale /= static_cast<double>(layer + 1);
  }

  struct Projected {
    at::Tensor query, key, value;  // [batch, heads, length, features]
  };
  Projected project(const at::Tensor& x) const {
    const auto parts = c_attn->forward(x).chunk(3, -1);
    return {split_heads(parts[0], heads), split_heads(parts[1], heads), split_heads(parts[2], heads)};
  }

  std::int64_t heads;
  double dropout;
  double scale = 1;
  std::shared_ptr<Conv1D> c_attn, c_proj;
};

struct Gpt2Mlp : torch::nn::Module {
  explicit Gpt2Mlp(const Gpt2Config& config)
      : activation(config.activation),
        c_fc(register_module("c_fc", std::make_shared<Conv1D>(config.features, config.inner_features))),
        c_proj(register_module("c_proj", std::make_shared<Conv1D>(config.inner_features, config.features))) {}

  at::Tensor forward(const at::Tensor& x) const { return c_proj->forward(activation(c_fc->forward(x))); }

  Activation activation;
  std::shared_ptr<Conv1D> c_fc, c_proj;
};

struct Gpt2Block : torch::nn::Module {
  Gpt2Block(const Gpt2Config& config, std::int64_t layer)
      : residual_dropout(config.residual_dropout),
        ln_1(register_module("ln_1", std::make_shared<LayerNorm>(config.features, config.norm_epsilon))),
        attn(register_module("attn", std::make_shared<Gpt2Attention>(config, layer))),
        ln_2(register_module("ln_2", std::make_shared<LayerNorm>(config.features, config.norm_epsilon))),
        mlp(register_module("mlp", std::make_shared<Gpt2Mlp>(config))) {}

  at::Tensor add_attention(const at::Tensor& x, const at::Tensor& attended, Dropout& dropout) const {
    return x + dropout(attn->c_proj->forward(attended), residual_dropout);
  }
  at::Tensor add_mlp(const at::Tensor& x, Dropout& dropout) const {
    return x + dropout(mlp->forward(ln_2->forward(x)), residual_dropout);
  }

  // The whole sequence at once; `cache`, if given, keeps its keys and values.
  at::Tensor forward(const at::Tensor& x, Dropout& dropout, KvCache* cache) const {
    const auto [query, key, value] = attn->project(ln_1->forward(x));
    if (cache != nullptr) *cache = KvCache(key, value);
    const AttentionOptions options{.scale = attn->scale, .bias = {}, .causal = true, .dropout = attn->dropout};
    return add_mlp(add_attention(x, attend(query, key, value, options, dropout), dropout), dropout);
  }

  // One new token a row, at `positions` [batch]; `bias` hides the keys beyond.
  at::Tensor forward_step(const at::Tensor& x, KvCache& cache, const at::Tensor& positions,
                          const at::Tensor& bias) const {
    Dropout none;
    const auto [query, key, value] = attn->project(ln_1->forward(x));
    const auto [keys, values] = cache.append(key, value, positions, bias.size(-1));
    return add_mlp(add_attention(x, attend(query, keys, values, {.scale = attn->scale, .bias = bias}, none), none),
                   none);
  }

  double residual_dropout;
  std::shared_ptr<LayerNorm> ln_1;
  std::shared_ptr<Gpt2Attention> attn;
  std::shared_ptr<LayerNorm> ln_2;
  std::shared_ptr<Gpt2Mlp> mlp;
};

struct Gpt2State final : DecodingState {
  void keep_rows(const at::Tensor& rows) override {
    lengths = lengths.index_select(0, rows);
    for (KvCache& cache : caches) cache.keep_rows(rows);
  }
  std::vector<KvCache> caches;  // a layer
  at::Tensor lengths;           // [batch] tokens so far
};

struct Gpt2Transformer : torch::nn::Module {
  explicit Gpt2Transformer(const Gpt2Config& config)
      : wte(register_module("wte", std::make_shared<Embedding>(config.vocabulary, config.features))),
        wpe(register_module("wpe", std::make_shared<Embedding>(config.positions, config.features))),
        embedding_dropout(config.embedding_dropout) {
    auto list = register_module("h", std::make_shared<torch::nn::Module>());
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      blocks.push_back(list->register_module(std::to_string(layer), std::make_shared<Gpt2Block>(config, layer)));
    }
    ln_f = register_module("ln_f", std::make_shared<LayerNorm>(config.features, config.norm_epsilon));
  }

  at::Tensor forward(const at::Tensor& ids, Dropout& dropout, std::vector<KvCache>* caches = nullptr) const {
    at::Tensor x = wte->forward(ids) + wpe->weight.narrow(0, 0, ids.size(1));
    x = dropout(x, embedding_dropout);
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
      x = blocks[layer]->forward(x, dropout, caches == nullptr ? nullptr : &caches->at(layer));
    }
    return ln_f->forward(x);
  }

  at::Tensor forward_step(const at::Tensor& tokens, Gpt2State& state) const {
    at::Tensor x = (wte->forward(tokens) + wpe->forward(state.lengths)).unsqueeze(1);
    const at::Tensor bias = padding_bias(state.lengths + 1, state.lengths.max().item<std::int64_t>() + 1);
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
      x = blocks[layer]->forward_step(x, state.caches[layer], state.lengths, bias);
    }
    state.lengths = state.lengths + 1;
    return ln_f->forward(x).squeeze(1);
  }

  std::shared_ptr<Embedding> wte, wpe;
  double embedding_dropout;
  std::vector<std::shared_ptr<Gpt2Block>> blocks;
  std::shared_ptr<LayerNorm> ln_f;
};

class Gpt2 final : public LanguageModel {
 public:
  Gpt2(ModelInfo info, const Gpt2Config& config, bool untied_head)
      : LanguageModel(std::move(info)),
        config_(config),
        transformer_(register_module("transformer", std::make_shared<Gpt2Transformer>(config))) {
    if (untied_head) {
      lm_head_ = register_module("lm_head", std::make_shared<Linear>(config.features, config.vocabulary, false));
    }
  }

  void initialise_weights(const at::Generator& generator) override {
    for (const auto& parameter : named_parameters()) {
      const std::string& name = parameter.key();
      if (parameter.value().dim() < 2) continue;  // norms stay 1, biases 0
      const bool ends_residual = name.ends_with("c_proj.weight");
      const double scale = ends_residual ? 1 / std::sqrt(2.0 * static_cast<double>(config_.layers)) : 1;
      fill_normal(parameter.value(), config_.initializer_range * scale, generator);
    }
  }

  at::Tensor logits(const Batch& batch, Dropout& dropout) override {
    return head(transformer_->forward(batch.input_ids, dropout));
  }

  at::Tensor loss_sum(const Batch& batch, Dropout& dropout) override {
    const LabelledPositions labelled(batch.labels);
    return negative_log_likelihood(head(labelled.select(transformer_->forward(batch.input_ids, dropout))),
                                   labelled.labels);
  }

  at::Tensor row_loss_sums(const Batch& batch) override {
    Dropout none;
    const LabelledPositions labelled(batch.labels);
    const at::Tensor hidden = labelled.select(transformer_->forward(batch.input_ids, none));
    return labelled.sum_by_row(negative_log_likelihoods(head(hidden), labelled.labels));
  }

  Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths) override {
    Dropout none;
    auto state = std::make_unique<Gpt2State>();
    state->caches.resize(transformer_->blocks.size());
    state->lengths = lengths;
    const at::Tensor hidden = transformer_->forward(input_ids, none, &state->caches);
    const at::Tensor last = (lengths - 1).view({-1, 1, 1}).expand({-1, 1, hidden.size(2)});
    return {std::move(state), head(hidden.gather(1, last).squeeze(1))};
  }

  at::Tensor decode_step(DecodingState& state, const at::Tensor& tokens) override {
    return head(transformer_->forward_step(tokens, static_cast<Gpt2State&>(state)));
  }

 private:
  at::Tensor head(const at::Tensor& hidden) const {
    return at::linear(hidden, lm_head_ ? lm_head_->weight : transformer_->wte->weight);
  }

  Gpt2Config config_;
  std::shared_ptr<Gpt2Transformer> transformer_;
  std::shared_ptr<Linear> lm_head_;  // null: the embedding's weights
};

}  // namespace

std::shared_ptr<LanguageModel> build_gpt2(const Json& config, const BuildOptions& options) {
  const Gpt2Config parsed(config);
  ModelInfo info{.model_type = "gpt2",
                 .architecture = "GPT2LMHeadModel",
                 .has_encoder = false,
                 .vocabulary_size = parsed.vocabulary,
                 .hidden_size = parsed.features,
                 .max_positions = parsed.positions,
                 .config = config,
                 .generation_config = options.generation_config};
  return std::make_shared<Gpt2>(std::move(info), parsed, options.untied_head);
}

}  // namespace lockstep
