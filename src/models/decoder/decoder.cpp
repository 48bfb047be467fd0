#include "models/decoder/decoder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "lockstep/models/layers/layer_observer.h"
#include "lockstep/models/loss.h"
#include "models/decoder/decoder_parts.h"
#include "models/decoder/score_biases.h"
#include "models/layers/initialization.h"
#include "models/layers/register_at.h"

namespace lockstep::models {
namespace {

struct DecoderState final : DecodingState {
  void keep_rows(const at::Tensor& rows) override {
    lengths = lengths.index_select(0, rows);
    ids = ids.index_select(0, rows);
    for (KvCache& cache : caches) cache.keep_rows(rows);
  }
  std::vector<KvCache> caches;  // one per layer
  at::Tensor lengths;           // [batch] tokens so far
  at::Tensor ids;  // [batch, length], the prompt's tokens; later ones are added only if Rotary::depends_on_length()
};

// Returns `ids` with `tokens` [batch] written at `positions` [batch], widened to the longest row if necessary.
at::Tensor with_tokens(const at::Tensor& ids, const at::Tensor& tokens, const at::Tensor& positions) {
  const std::int64_t missing = positions.max().item<std::int64_t>() + 1 - ids.size(1);
  const at::Tensor wide = missing > 0 ? at::constant_pad_nd(ids, {0, missing}) : ids;
  return wide.scatter(1, positions.unsqueeze(1), tokens.unsqueeze(1));
}

std::vector<std::int64_t> to_vector(const at::Tensor& lengths) {
  const at::Tensor host = lengths.to(at::kCPU).contiguous();
  return {host.const_data_ptr<std::int64_t>(), host.const_data_ptr<std::int64_t>() + host.numel()};
}

// Reshapes the angles of one row for tensors of shape [positions, heads, features].
RotaryAngles packed(const RotaryAngles& angles) {
  if (!angles.cosine.defined()) return {};
  return {angles.cosine.squeeze(0).transpose(0, 1), angles.sine.squeeze(0).transpose(0, 1)};
}

// Returns the tokens that a loss needs. On a GPU, attention pads the rows, so all tokens are used: whole rows of equal
// length need no copies.
const PackedRows& rows_for_loss(const Batch& batch) {
  return batch.input_ids.is_cpu() ? batch.predictors : batch.inputs;
}

at::Tensor positions_until(std::int64_t length, at::Device device) {
  return at::arange(length, at::TensorOptions(at::kLong).device(device)).unsqueeze(0);  // [1, length]
}

}  // namespace

Decoder::Decoder(ModelInfo info, DecoderConfig config)
    : LanguageModel(std::move(info)), config_(std::move(config)), rotary_(config_.rotary) {
  const DecoderNames& names = config_.names;
  const auto add = [&](const std::string& name, auto module) {
    return register_at(*this, names.base + "." + name, std::move(module));
  };
  tokens_ = add(names.token_embedding,
                std::make_shared<Embedding>(config_.vocabulary, config_.embedding_features, config_.padding_id));
  if (config_.positions == PositionKind::kLearned) {
    positions_ = add(names.position_embedding,
                     std::make_shared<Embedding>(*config_.max_positions + config_.position_offset, config_.features));
  }
  if (config_.embedding_features != config_.features) {
    project_in_ =
        add("project_in", std::make_shared<Linear>(config_.embedding_features, config_.features, false,
                                                   ProjectionUse{ProjectionRole::kEmbeddingIn, TokenStream::kInput}));
    project_out_ =
        add("project_out", std::make_shared<Linear>(config_.features, config_.embedding_features, false,
                                                    ProjectionUse{ProjectionRole::kEmbeddingOut, TokenStream::kInput}));
  }
  for (std::int64_t layer = 0; layer < config_.layers; ++layer) {
    blocks_.push_back(
        add(names.layers + "." + std::to_string(layer), std::make_shared<DecoderBlock>(config_, rotary_, layer)));
  }
  if (config_.has_final_norm) final_norm_ = add(names.final_norm, make_norm(config_, config_.features));
  head_.emplace(
      *this, tokens_, config_.embedding_features,
      LanguageHead::Options{
          .has_own_weight = config_.untied_head, .has_bias = config_.head_bias, .soft_cap = config_.logit_soft_cap});
}

std::vector<std::vector<at::Tensor>> Decoder::layer_parameters() const {
  std::vector<std::vector<at::Tensor>> layers;
  for (const auto& block : blocks_) layers.push_back(block->parameters());
  return layers;
}

void Decoder::initialise_weights(const at::Generator& generator) {
  std::set<const at::TensorImpl*> residual_weights;  // of the projections whose outputs are added to the residual
  for (const auto& [path, projection] : projections_of(*this)) {
    const ProjectionRole role = projection->use.role;
    if (role != ProjectionRole::kAttentionOutput && role != ProjectionRole::kMlpDown) continue;
    residual_weights.insert(projection->weight.unsafeGetTensorImpl());
  }
  for (const at::Tensor& parameter : parameters()) {
    if (parameter.dim() < 2) continue;  // norms and biases keep their initial values
    const bool is_scaled = config_.scale_residual_weights && residual_weights.contains(parameter.unsafeGetTensorImpl());
    const double scale = is_scaled ? 1 / std::sqrt(2.0 * static_cast<double>(config_.layers)) : 1;
    fill_normal(parameter, config_.initializer_range * scale, generator);
  }
  const at::NoGradGuard no_grad;
  if (config_.padding_id) tokens_->weight.select(0, *config_.padding_id).zero_();
}

at::Tensor Decoder::logits(const Batch& batch, Pass& pass) {
  return head_->logits(batch.inputs.pad(hidden(batch, batch.inputs, {}, pass)), pass);
}

at::Tensor Decoder::loss_sum(const Batch& batch, Pass& pass) {
  const LabelledPositions labelled(batch);
  const PackedRows& rows = rows_for_loss(batch);
  return head_->loss_sum(hidden(batch, rows, labelled.among(rows), pass), labelled.labels, pass);
}

at::Tensor Decoder::row_loss_sums(const Batch& batch, Pass& pass) {
  const LabelledPositions labelled(batch);
  const PackedRows& rows = rows_for_loss(batch);
  const at::Tensor selected = hidden(batch, rows, labelled.among(rows), pass);
  return labelled.sum_by_row(head_->losses(selected, labelled.labels, pass));
}

LanguageModel::Started Decoder::start_decoding(const at::Tensor& input_ids, const at::Tensor& lengths, Pass& pass) {
  auto state = std::make_unique<DecoderState>();
  state->ids = input_ids;
  state->lengths = lengths;
  at::Tensor logits = read_sequences(*state, pass);
  return {std::move(state), logits};
}

at::Tensor Decoder::decode_step(DecodingState& decoding_state, const at::Tensor& tokens, Pass& pass) {
  auto& state = static_cast<DecoderState&>(decoding_state);
  const at::Tensor positions = state.lengths;
  state.lengths = positions + 1;
  if (rotary_.depends_on_length()) {
    state.ids = with_tokens(state.ids, tokens, positions);
    if (std::ranges::any_of(to_vector(state.lengths), [&](auto length) { return rotary_.changes_at(length); })) {
      return read_sequences(state, pass);
    }
  }
  const std::int64_t keys = state.lengths.max().item<std::int64_t>();
  DecoderContext context{.biases = step_biases(config_, positions, keys)};
  context.positions = positions;
  context.keys = keys;
  context.angles = rotary_.angles(positions.unsqueeze(1), to_vector(state.lengths));
  const at::Tensor embedded = embed(tokens_->forward(tokens.unsqueeze(1), pass), positions.unsqueeze(1), pass);
  return head_->logits(run_blocks(embedded, context, pass, &state.caches).squeeze(1), pass);
}

// Processes all tokens of the sequences from the start: fills the caches and returns the logits [batch, vocabulary] of
// the next tokens. Frequencies that depend on the length use the length of each row, as if it were the only one.
at::Tensor Decoder::read_sequences(DecodingState& decoding_state, Pass& pass) const {
  auto& state = static_cast<DecoderState&>(decoding_state);
  state.caches.assign(blocks_.size(), KvCache());
  const std::int64_t length = state.ids.size(1);
  DecoderContext context{.biases = sequence_biases(config_, length, state.ids.device())};
  context.angles = rotary_.angles(positions_until(length, state.ids.device()), to_vector(state.lengths));
  const at::Tensor output =
      run_blocks(embed(tokens_->forward(state.ids, pass), {}, pass), context, pass, &state.caches);
  const at::Tensor last = (state.lengths - 1).view({-1, 1, 1}).expand({-1, 1, output.size(2)});
  return head_->logits(output.gather(1, last).squeeze(1), pass);
}

// Returns the input of the first block, given the token embeddings `x` [..., features]. `positions` [...] may be
// undefined for `x` [batch, length, features] at positions 0 ... length - 1.
at::Tensor Decoder::embed(at::Tensor x, const at::Tensor& positions, Pass& pass) const {
  if (config_.embedding_scale != 1) x = x * config_.embedding_scale;
  if (project_in_) x = project_in_->forward(x, pass);
  if (!positions_) return x;
  if (positions.defined()) return x + positions_->forward(positions + config_.position_offset, pass);
  return x + positions_->weight.narrow(0, config_.position_offset, x.size(1));
}

// Returns the last hidden states of the tokens of `rows`, which are rows of the batch, or only of the `labelled` tokens
// if that is defined. Frequencies that depend on the length use the padded length, as in transformers.
at::Tensor Decoder::hidden(const Batch& batch, const PackedRows& rows, const at::Tensor& labelled, Pass& pass) const {
  DecoderContext context{.biases = sequence_biases(config_, rows.length, batch.input_ids.device())};
  context.rows = &rows;
  context.labelled = labelled;
  const at::Tensor positions = rows.positions();
  context.angles = packed(rotary_.angles(positions.unsqueeze(0), {rows.length}));
  pass.dropout.over(rows.places, rows.length);
  const at::Tensor tokens =
      pass.noise.add_to(tokens_->forward(rows.pack(batch.input_ids), pass), rows, batch.inputs, Embedded::kInput);
  const at::Tensor x = embed(tokens, positions, pass);
  return run_blocks(pass.dropout(x, config_.embedding_dropout), context, pass, nullptr);
}

at::Tensor Decoder::run_blocks(at::Tensor x, const DecoderContext& context, Pass& pass,
                               std::vector<KvCache>* caches) const {
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    x = run_layer(pass, layer, {x},
                  [this, layer, context, caches](const std::vector<at::Tensor>& inputs, Pass& layer_pass) {
                    KvCache* cache = caches == nullptr ? nullptr : &caches->at(layer);
                    return blocks_[layer]->forward(inputs[0], context, layer_pass, cache);
                  });
  }
  if (final_norm_) x = final_norm_->forward(x);
  return project_out_ ? project_out_->forward(x, pass) : x;
}

}  // namespace lockstep::models
