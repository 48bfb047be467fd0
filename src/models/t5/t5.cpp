#include "models/t5/t5.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lockstep/models/layers/layer_observer.h"
#include "lockstep/models/layers/linear.h"
#include "lockstep/models/loss.h"
#include "models/language_head.h"
#include "models/layers/attention.h"
#include "models/layers/embedding.h"
#include "models/layers/initialization.h"
#include "models/layers/kv_cache.h"
#include "models/layers/norm.h"

namespace lockstep::models {
namespace {

struct T5Attention : torch::nn::Module {
  // Attends from the tokens of `queries` to themselves, or, if `is_cross`, to those of the source.
  T5Attention(const T5Config& config, TokenStream queries, bool is_cross, bool has_relative_bias)
      : heads(config.heads), dropout(config.dropout) {
    const std::int64_t features = config.features, inner = config.heads * config.head_features;
    const TokenStream keys = is_cross ? TokenStream::kInput : queries;
    q = add("q", features, inner, {ProjectionRole::kQuery, queries, is_cross});
    k = add("k", features, inner, {ProjectionRole::kKey, keys, is_cross});
    v = add("v", features, inner, {ProjectionRole::kValue, keys, is_cross});
    o = add("o", inner, features, {ProjectionRole::kAttentionOutput, queries, is_cross});
    if (!has_relative_bias) return;
    relative_attention_bias =
        register_module("relative_attention_bias", std::make_shared<Embedding>(config.buckets, config.heads));
  }

  at::Tensor query(const Operand& x, Pass& pass) const { return split_heads(q->forward(x, pass), heads); }
  std::pair<at::Tensor, at::Tensor> keys_and_values(const Operand& x, Pass& pass) const {
    return {split_heads(k->forward(x, pass), heads), split_heads(v->forward(x, pass), heads)};
  }

  // T5 does not scale its scores; the initialisation of the weights accounts for the scale.
  at::Tensor attend_to(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                       const at::Tensor& bias, Pass& pass) const {
    return o->forward(attend(queries, keys, values, {.bias = bias}, pass), pass);
  }

  std::int64_t heads;
  double dropout;
  std::shared_ptr<Linear> q, k, v, o;
  std::shared_ptr<Embedding> relative_attention_bias;  // null if the layer has no table of its own

 private:
  std::shared_ptr<Linear> add(const char* name, std::int64_t in, std::int64_t out, ProjectionUse use) {
    return register_module(name, std::make_shared<Linear>(in, out, false, use));
  }
};

struct T5FeedForward : torch::nn::Module {
  T5FeedForward(const T5Config& config, TokenStream stream) : activation(config.activation), dropout(config.dropout) {
    using enum ProjectionRole;
    const std::int64_t features = config.features, inner = config.inner_features;
    wi = add(config.gated ? "wi_0" : "wi", features, inner, {config.gated ? kMlpGate : kMlpUp, stream});
    if (config.gated) wi_1 = add("wi_1", features, inner, {kMlpUp, stream});
    wo = add("wo", inner, features, {kMlpDown, stream});
  }

  at::Tensor forward(const Operand& x, Pass& pass) const {
    const at::Tensor inner = wi->forward(x, pass);
    const Operand hidden =
        wi_1 ? activation.gated(inner, wi_1->forward(x, pass), pass) : activation.operand(inner, pass);
    return wo->forward(pass.dropout(hidden, dropout), pass);
  }

  Activation activation;
  double dropout;
  std::shared_ptr<Linear> wi, wi_1, wo;

 private:
  std::shared_ptr<Linear> add(const char* name, std::int64_t in, std::int64_t out, ProjectionUse use) {
    return register_module(name, std::make_shared<Linear>(in, out, false, use));
  }
};

// A sublayer with the norm that precedes it, under transformers' names: layer.N.{SelfAttention,...},
// layer.N.layer_norm.
template <class Sublayer>
struct Normed : torch::nn::Module {
  Normed(const char* name, std::shared_ptr<Sublayer> module, const T5Config& config)
      : sublayer(register_module(name, std::move(module))),
        layer_norm(register_module("layer_norm", std::make_shared<RmsNorm>(config.features, config.norm_epsilon))) {}
  std::shared_ptr<Sublayer> sublayer;
  std::shared_ptr<RmsNorm> layer_norm;
};

// The cached keys and values of a decoder layer.
struct T5LayerCache {
  KvCache self;
  at::Tensor cross_keys, cross_values;  // [batch, heads, source, features]
};

// State that the layers of one forward pass over packed rows share.
struct T5Context {
  const PackedRows& rows;
  std::vector<at::Tensor> biases;  // one per layer, by distance, [heads, 2 x length - 1]
  const PackedRows* sources;       // rows of `encoded`; null in the encoder
  at::Tensor encoded;              // the encoder's output [source tokens, features]; undefined in the encoder

  // Returns the inputs of layer `layer`: x, and the tensors of this context that need gradients.
  std::vector<at::Tensor> inputs(const at::Tensor& x, std::size_t layer) const {
    std::vector<at::Tensor> all = {x, biases[layer]};
    if (encoded.defined()) all.push_back(encoded);
    return all;
  }
  // Returns this context with the tensors of `inputs`, as inputs() orders them.
  T5Context with(const std::vector<at::Tensor>& inputs, std::size_t layer) const {
    T5Context context{rows, biases, sources, inputs.size() > 2 ? inputs[2] : at::Tensor()};
    context.biases[layer] = inputs[1];
    return context;
  }
};

// Tells dropout to which tokens its next inputs belong.
void begin(const PackedRows& tokens, Pass& pass) { pass.dropout.over(tokens.places, tokens.length); }

// State that the layers share when they process one new token per row.
struct T5Step {
  std::vector<at::Tensor> self_biases;  // one per layer, [1, heads, 1, keys so far]
  at::Tensor cross_bias;                // [batch, 1, 1, source]
  at::Tensor positions;                 // positions of the new tokens, [batch] int64
};

struct T5Block : torch::nn::Module {
  T5Block(const T5Config& config, bool is_decoder, std::size_t layer_, bool has_relative_bias)
      : layer(layer_), dropout(config.dropout) {
    auto layers = register_module("layer", std::make_shared<torch::nn::Module>());
    const TokenStream stream = is_decoder ? TokenStream::kTarget : TokenStream::kInput;
    self = add_layer(*layers, "0", "SelfAttention",
                     std::make_shared<T5Attention>(config, stream, /*is_cross=*/false, has_relative_bias), config);
    if (is_decoder) {
      cross = add_layer(*layers, "1", "EncDecAttention",
                        std::make_shared<T5Attention>(config, stream, /*is_cross=*/true, false), config);
    }
    feed_forward = add_layer(*layers, is_decoder ? "2" : "1", "DenseReluDense",
                             std::make_shared<T5FeedForward>(config, stream), config);
  }

  at::Tensor forward(at::Tensor x, const T5Context& context, Pass& pass) const {
    const T5Attention& attention = *self->sublayer;
    const Operand normed = self->layer_norm->operand(x, pass);
    const at::Tensor queries = attention.query(normed, pass);
    const auto [keys, values] = attention.keys_and_values(normed, pass);
    const AttentionOptions options{
        .distance_bias = context.biases[layer], .causal = cross != nullptr, .dropout = dropout};
    const at::Tensor attended = attend(queries, keys, values, context.rows, context.rows, options, pass);
    x = add(x, attention.o->forward(attended, pass), pass);
    if (cross) x = add(x, attend_to_source(x, context, pass), pass);
    return add_feed_forward(x, pass);
  }

  // Processes one new token per row.
  at::Tensor forward_step(at::Tensor x, T5LayerCache& cache, const T5Step& step, Pass& pass) const {
    const at::Tensor normed = self->layer_norm->forward(x);
    const T5Attention& attention = *self->sublayer;
    const at::Tensor& bias = step.self_biases[layer];
    const auto [key, value] = attention.keys_and_values(normed, pass);
    const auto [keys, values] = cache.self.append(key, value, step.positions, bias.size(-1));
    x = x + attention.attend_to(attention.query(normed, pass), keys, values, bias, pass);
    const at::Tensor queries = cross->sublayer->query(cross->layer_norm->forward(x), pass);
    x = x + cross->sublayer->attend_to(queries, cache.cross_keys, cache.cross_values, step.cross_bias, pass);
    return add_feed_forward(x, pass);
  }

  std::size_t layer;
  double dropout;
  std::shared_ptr<Normed<T5Attention>> self, cross;
  std::shared_ptr<Normed<T5FeedForward>> feed_forward;

 private:
  template <class Sublayer>
  static std::shared_ptr<Normed<Sublayer>> add_layer(torch::nn::Module& layers, const char* number, const char* name,
                                                     std::shared_ptr<Sublayer> sublayer, const T5Config& config) {
    return layers.register_module(number, std::make_shared<Normed<Sublayer>>(name, std::move(sublayer), config));
  }

  at::Tensor add(const at::Tensor& x, const at::Tensor& y, Pass& pass) const { return x + pass.dropout(y, dropout); }

  at::Tensor attend_to_source(const at::Tensor& x, const T5Context& context, Pass& pass) const {
    const T5Attention& attention = *cross->sublayer;
    begin(*context.sources, pass);
    const auto [keys, values] = attention.keys_and_values(context.encoded, pass);
    begin(context.rows, pass);
    const at::Tensor queries = attention.query(cross->layer_norm->operand(x, pass), pass);
    const at::Tensor attended =
        attend(queries, keys, values, context.rows, *context.sources, {.dropout = dropout}, pass);
    return attention.o->forward(attended, pass);
  }

  at::Tensor add_feed_forward(const at::Tensor& x, Pass& pass) const {
    return add(x, feed_forward->sublayer->forward(feed_forward->layer_norm->operand(x, pass), pass), pass);
  }
};

// The encoder or the decoder. The two share an embedding, which the caller applies.
struct T5Stack : torch::nn::Module {
  T5Stack(const T5Config& config_, bool is_decoder_) : config(config_), is_decoder(is_decoder_) {
    auto list = register_module("block", std::make_shared<torch::nn::Module>());
    const std::int64_t layers = is_decoder ? config.decoder_layers : config.encoder_layers;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const bool has_relative_bias = layer == 0 || config.bias_in_each_layer;
      blocks.push_back(list->register_module(
          std::to_string(layer),
          std::make_shared<T5Block>(config, is_decoder, static_cast<std::size_t>(layer), has_relative_bias)));
    }
    final_layer_norm =
        register_module("final_layer_norm", std::make_shared<RmsNorm>(config.features, config.norm_epsilon));
  }

  at::Tensor forward(const at::Tensor& embedded, const T5Context& context, Pass& pass) const {
    begin(context.rows, pass);
    at::Tensor x = pass.dropout(embedded, config.dropout);
    const std::size_t first = is_decoder ? static_cast<std::size_t>(config.encoder_layers) : 0;
    for (const auto& block : blocks) {
      const std::size_t layer = block->layer;
      x = run_layer(pass, first + layer, context.inputs(x, layer),
                    [block, layer, context](const std::vector<at::Tensor>& inputs, Pass& layer_pass) {
                      return block->forward(inputs[0], context.with(inputs, layer), layer_pass);
                    });
    }
    return pass.dropout(final_layer_norm->forward(x), config.dropout);
  }

  at::Tensor forward_step(at::Tensor x, std::vector<T5LayerCache>& caches, const T5Step& step, Pass& pass) const {
    for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
      x = blocks[layer]->forward_step(x, caches[layer], step, pass);
    }
    return final_layer_norm->forward(x);
  }

  // Returns the learned bias of each layer [heads, distances] for all distances between tokens of `rows`.
  std::vector<at::Tensor> biases(const PackedRows& rows, const Pass& pass) const {
    const std::int64_t farthest = std::max<std::int64_t>(0, rows.length - 1);
    return biases(-farthest, farthest, rows.places.device(), pass);
  }
  // Returns the learned bias of each layer [heads, distances] for the distances `first` ... `last`, key position minus
  // query position. A layer without a table of its own uses that of the first layer.
  std::vector<at::Tensor> biases(std::int64_t first, std::int64_t last, at::Device device, const Pass& pass) const {
    const at::Tensor buckets = bucket(at::arange(first, last + 1, at::TensorOptions(at::kLong).device(device)));
    std::vector<at::Tensor> biases;
    for (const auto& block : blocks) {
      const auto& table = block->self->sublayer->relative_attention_bias;
      biases.push_back(table ? table->forward(buckets, pass).t() : biases.front());
    }
    return biases;
  }

  T5Config config;
  bool is_decoder;
  std::vector<std::shared_ptr<T5Block>> blocks;
  std::shared_ptr<RmsNorm> final_layer_norm;

 private:
  // Returns the bucket of each distance, key position minus query position. Half of the buckets hold one small distance
  // each, the others grow logarithmically up to max_distance; the encoder divides its buckets between the two
  // directions (mesh-tensorflow's transformer_layers.py).
  at::Tensor bucket(const at::Tensor& distance) const {
    const std::int64_t buckets = is_decoder ? config.buckets : config.buckets / 2;
    at::Tensor offset = at::zeros_like(distance);
    at::Tensor magnitude;
    if (is_decoder) {
      magnitude = -at::clamp_max(distance, 0);
    } else {
      offset = (distance > 0).to(at::kLong) * buckets;
      magnitude = distance.abs();
    }
    const std::int64_t exact = buckets / 2;
    const double log_range = std::log(static_cast<double>(config.max_distance) / static_cast<double>(exact));
    const at::Tensor logarithmic = at::log(at::clamp_min(magnitude, 1).to(at::kFloat) / static_cast<double>(exact)) /
                                   log_range * static_cast<double>(buckets - exact);
    // If max_distance lies within the exact buckets, the others cover no range and the logarithm gives infinity or NaN.
    const at::Tensor coarse = exact + at::clamp(at::nan_to_num(logarithmic), -exact, buckets - 1 - exact).to(at::kLong);
    return offset + at::where(magnitude < exact, magnitude, coarse);
  }
};

struct T5State final : DecodingState {
  void keep_rows(const at::Tensor& rows) override {
    cross_bias = cross_bias.index_select(0, rows);
    for (T5LayerCache& cache : caches) {
      cache.self.keep_rows(rows);
      cache.cross_keys = cache.cross_keys.index_select(0, rows);
      cache.cross_values = cache.cross_values.index_select(0, rows);
    }
  }
  std::vector<T5LayerCache> caches;  // one per layer
  at::Tensor cross_bias;             // [batch, 1, 1, source]
  std::int64_t position = 0;         // of the next token
};

class T5 final : public LanguageModel {
 public:
  T5(ModelInfo info, const T5Config& config)
      : LanguageModel(std::move(info)),
        config_(config),
        shared_(register_module("shared", std::make_shared<Embedding>(config.vocabulary, config.features))),
        encoder_(register_module("encoder", std::make_shared<T5Stack>(config, false))),
        decoder_(register_module("decoder", std::make_shared<T5Stack>(config, true))),
        head_(*this, shared_, config.features,
              {.has_own_weight = config.untied_head,
               .input_scale = config.scale_outputs ? 1 / std::sqrt(static_cast<double>(config.features)) : 1}) {}

  std::vector<std::vector<at::Tensor>> layer_parameters() const override {
    std::vector<std::vector<at::Tensor>> layers;
    for (const auto& stack : {encoder_, decoder_}) {
      for (const auto& block : stack->blocks) {
        layers.push_back(block->parameters());
        // All biases are computed before the first layer runs, so no layer owns a table.
        if (const auto& table = block->self->sublayer->relative_attention_bias) {
          std::erase_if(layers.back(), [&](const at::Tensor& parameter) { return parameter.is_same(table->weight); });
        }
      }
    }
    return layers;
  }

  void initialise_weights(const at::Generator& generator) override {
    std::unordered_map<const at::TensorImpl*, ProjectionRole> roles;
    for (const auto& [path, projection] : projections_of(*this)) {
      roles[projection->weight.unsafeGetTensorImpl()] = projection->use.role;
    }
    for (const at::Tensor& parameter : parameters()) {
      if (parameter.dim() == 1) {
        const at::NoGradGuard no_grad;
        parameter.fill_(config_.initializer_factor);
        continue;
      }
      const auto role = roles.find(parameter.unsafeGetTensorImpl());
      const double deviation = role != roles.end()                  ? standard_deviation(role->second)
                               : parameter.is_same(shared_->weight) ? 1
                                                                    : feature_deviation();
      fill_normal(parameter, config_.initializer_factor * deviation, generator);
    }
  }

  at::Tensor logits(const Batch& batch, Pass& pass) override {
    return head_.logits(batch.targets.pad(decode(batch, pass)), pass);
  }

  // All tokens of a target are labelled, so the head runs on all hidden states.
  at::Tensor loss_sum(const Batch& batch, Pass& pass) override {
    const LabelledPositions labelled(batch);
    return head_.loss_sum(decode(batch, pass), labelled.labels, pass);
  }

  at::Tensor row_loss_sums(const Batch& batch, Pass& pass) override {
    const LabelledPositions labelled(batch);
    return labelled.sum_by_row(head_.losses(decode(batch, pass), labelled.labels, pass));
  }

  Started start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths, Pass& pass) override {
    auto state = std::make_unique<T5State>();
    const at::Tensor on_host = lengths.to(at::kCPU).contiguous();
    const PackedRows on_host_rows(
        std::span(on_host.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(on_host.numel())));
    const PackedRows rows = on_host_rows.to(input_ids.device());
    state->cross_bias = padding_bias(lengths, rows.length);
    const at::Tensor encoded =
        rows.pad(encode(shared_->forward(rows.pack(input_ids.narrow(1, 0, rows.length)), pass), rows, pass));
    for (const auto& block : decoder_->blocks) {
      const auto [keys, values] = block->cross->sublayer->keys_and_values(encoded, pass);
      state->caches.push_back({{}, keys, values});
    }
    const at::Tensor start =
        at::full({input_ids.size(0)}, static_cast<std::int64_t>(info().decoder_start_id), input_ids.options());
    at::Tensor logits = decode_step(*state, start, pass);
    return {std::move(state), logits};
  }

  at::Tensor decode_step(DecodingState& decoding_state, const at::Tensor& tokens, Pass& pass) override {
    auto& state = static_cast<T5State&>(decoding_state);
    T5Step step{decoder_->biases(-state.position, 0, tokens.device(), pass), state.cross_bias,
                at::full({tokens.size(0)}, state.position, tokens.options())};
    for (at::Tensor& bias : step.self_biases) bias = bias.unsqueeze(0).unsqueeze(2);
    ++state.position;
    return head_.logits(
        decoder_->forward_step(shared_->forward(tokens.unsqueeze(1), pass), state.caches, step, pass).squeeze(1), pass);
  }

 private:
  double standard_deviation(ProjectionRole role) const {
    const double head_features = 1 / std::sqrt(static_cast<double>(config_.head_features));
    if (role == ProjectionRole::kQuery) return feature_deviation() * head_features;
    if (role == ProjectionRole::kAttentionOutput) return head_features / std::sqrt(static_cast<double>(config_.heads));
    if (role == ProjectionRole::kMlpDown) return 1 / std::sqrt(static_cast<double>(config_.inner_features));
    return role == ProjectionRole::kHead ? 1 : feature_deviation();
  }
  double feature_deviation() const { return 1 / std::sqrt(static_cast<double>(config_.features)); }

  // Returns the encoder's output for `embedded`; both are [source tokens, features].
  at::Tensor encode(const at::Tensor& embedded, const PackedRows& rows, Pass& pass) const {
    const T5Context context{rows, encoder_->biases(rows, pass), nullptr, {}};
    return encoder_->forward(embedded, context, pass);
  }

  // Returns the decoder's last hidden states, [target tokens, features].
  at::Tensor decode(const Batch& batch, Pass& pass) const {
    const PackedRows& rows = batch.targets;
    const auto embed = [&](const at::Tensor& ids, const PackedRows& packed, Embedded embedded) {
      return pass.noise.add_to(shared_->forward(packed.pack(ids), pass), packed, packed, embedded);
    };
    const at::Tensor encoded = encode(embed(batch.input_ids, batch.inputs, Embedded::kInput), batch.inputs, pass);
    const T5Context context{rows, decoder_->biases(rows, pass), &batch.inputs, encoded};
    return decoder_->forward(embed(batch.decoder_input_ids, rows, Embedded::kDecoderInput), context, pass);
  }

  T5Config config_;
  std::shared_ptr<Embedding> shared_;
  std::shared_ptr<T5Stack> encoder_, decoder_;
  const LanguageHead head_;
};

}  // namespace

std::shared_ptr<LanguageModel> make_t5(ModelInfo info, const T5Config& config) {
  return std::make_shared<T5>(std::move(info), config);
}

}  // namespace lockstep::models
