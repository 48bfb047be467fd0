#include "lockstep/generation/decoding.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <span>

#include "lockstep/core/error.h"
#include "lockstep/text/sequence_frame.h"

namespace lockstep::generation {
namespace {

constexpr std::size_t kAnswerShare = 4;  // one in so many positions is reserved for an answer

// Returns the ids that end a text: from generation_config.json, else from config.json (one id or a list), else from the
// tokenizer, in the same order as transformers.
std::set<TokenId> end_ids(const models::ModelInfo& info, const Tokenizer& tokenizer) {
  for (const Json* config : {&info.generation_config, &info.config}) {
    if (!config->is_object() || !config->contains("eos_token_id")) continue;
    const Json& ids = config->at("eos_token_id");
    if (ids.is_number_unsigned()) return {ids.get<TokenId>()};
    if (ids.is_array()) return ids.get<std::set<TokenId>>();
  }
  if (tokenizer.eos_id()) return {*tokenizer.eos_id()};
  return {};
}

// Returns the maximum number of new tokens of each row. Truncates prompts of decoder-only models from the left if they
// leave too few learned positions for an answer, keeping the special tokens before them.
std::vector<std::size_t> truncate_prompts(const models::ModelInfo& info, const Tokenizer& tokenizer,
                                          std::vector<std::vector<TokenId>>& prompts, std::size_t max_new_tokens) {
  if (info.has_encoder || !info.max_positions) return std::vector<std::size_t>(prompts.size(), max_new_tokens);
  const auto positions = static_cast<std::size_t>(*info.max_positions);
  const std::size_t reserved = std::min(max_new_tokens, std::max<std::size_t>(1, positions / kAnswerShare));
  const std::size_t longest = std::max<std::size_t>(1, positions - std::min(positions, reserved));
  std::vector<std::size_t> limits;
  std::size_t cut = 0;
  for (auto& prompt : prompts) {
    if (prompt.size() > longest) {
      const std::vector<TokenId>& special = tokenizer.ids_before();
      const bool is_framed =
          longest > special.size() && std::ranges::equal(special, std::span(prompt).first(special.size()));
      const auto surplus = static_cast<std::ptrdiff_t>(prompt.size() - longest);
      const auto begin = prompt.begin() + static_cast<std::ptrdiff_t>(is_framed ? special.size() : 0);
      prompt.erase(begin, begin + surplus);
      ++cut;
    }
    limits.push_back(std::min(max_new_tokens, positions - std::min(positions, prompt.size())));
  }
  if (cut > 0) {
    spdlog::warn("{} of {} prompts are truncated on the left to {} tokens: the model has {} positions", cut,
                 prompts.size(), longest, positions);
  }
  return limits;
}

void warn_about_truncated_answers(const std::vector<Generated>& results, std::size_t max_new_tokens,
                                  const models::ModelInfo& info) {
  const auto ended = std::ranges::count_if(
      results, [&](const Generated& result) { return !result.reached_eos && result.ids.size() < max_new_tokens; });
  if (ended == 0) return;
  spdlog::warn("{} of {} answers end before max_new_tokens {}: the model has {} positions for prompt and answer", ended,
               results.size(), max_new_tokens, *info.max_positions);
}

// Decodes one batch of prompts until each has ended.
class BatchDecoder {
 public:
  // `limits` holds the maximum number of new tokens of each row, at least one.
  BatchDecoder(LanguageModel& model, const Strategy& strategy, const std::set<TokenId>& ends,
               const std::vector<std::size_t>& limits)
      : model_(model), strategy_(strategy), ends_(ends), limits_(limits) {}

  // `rows` are indices into `prompts` and `results`. `on_token(rows_ended)` is called after each token.
  void run(std::span<const std::size_t> rows, const std::vector<std::vector<TokenId>>& prompts,
           std::vector<Generated>& results, const std::function<void(std::size_t)>& on_token) {
    std::vector<std::size_t> running(rows.begin(), rows.end());
    auto [state, logits] = start(rows, prompts);
    for (std::size_t new_tokens = 0;; ++new_tokens) {
      at::Tensor tokens = choose({.logits = logits, .prompts = running, .new_tokens = new_tokens});
      const std::vector<std::int64_t> kept = record(tokens, running, results);
      on_token(rows.size() - kept.size());
      if (kept.empty()) return;
      if (kept.size() < static_cast<std::size_t>(tokens.size(0))) {
        const at::Tensor rows_kept = at::tensor(kept, at::kLong).to(tokens.device());
        state->keep_rows(rows_kept);
        tokens = tokens.index_select(0, rows_kept);
      }
      logits = model_.decode_step(*state, tokens, pass_);
    }
  }

 private:
  LanguageModel::Started start(std::span<const std::size_t> rows, const std::vector<std::vector<TokenId>>& prompts) {
    std::size_t longest = 0;
    for (const std::size_t row : rows) longest = std::max(longest, prompts[row].size());
    const auto batch = static_cast<std::int64_t>(rows.size());
    at::Tensor ids = at::zeros({batch, static_cast<std::int64_t>(longest)}, at::kLong);
    at::Tensor lengths = at::empty({batch}, at::kLong);
    for (std::int64_t i = 0; i < batch; ++i) {
      const auto& prompt = prompts[rows[static_cast<std::size_t>(i)]];
      std::copy(prompt.begin(), prompt.end(), ids.data_ptr<std::int64_t>() + i * ids.size(1));
      lengths[i] = static_cast<std::int64_t>(prompt.size());
    }
    const at::Device device = model_.device();
    return model_.start_decoding(ids.to(device), lengths.to(device), pass_);
  }

  // Returns the next token of each row, [rows].
  at::Tensor choose(const RunningRows& rows) const {
    return std::visit([&](const auto& strategy) { return strategy.choose(rows); }, strategy_);
  }

  // Appends each row's token. Removes the rows that have ended from `running`, and returns the positions of the others.
  std::vector<std::int64_t> record(const at::Tensor& tokens, std::vector<std::size_t>& running,
                                   std::vector<Generated>& results) const {
    const at::Tensor on_host = tokens.cpu();
    std::vector<std::int64_t> kept;
    std::vector<std::size_t> still_running;
    for (std::size_t i = 0; i < running.size(); ++i) {
      const auto token = static_cast<TokenId>(on_host.const_data_ptr<std::int64_t>()[i]);
      Generated& result = results[running[i]];
      result.ids.push_back(token);
      result.reached_eos = ends_.contains(token);
      if (result.reached_eos || result.ids.size() >= limits_[running[i]]) continue;
      kept.push_back(static_cast<std::int64_t>(i));
      still_running.push_back(running[i]);
    }
    running = std::move(still_running);
    return kept;
  }

  LanguageModel& model_;
  models::Pass pass_;
  const Strategy& strategy_;
  const std::set<TokenId>& ends_;
  const std::vector<std::size_t>& limits_;
};

}  // namespace

std::vector<Generated> generate_ids(LanguageModel& model, const Tokenizer& tokenizer,
                                    const std::vector<std::vector<TokenId>>& given_prompts,
                                    const GenerationOptions& options,
                                    const std::function<void(std::size_t)>& on_progress) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] :
       {std::pair{"batch_size", options.batch_size}, {"max_new_tokens", options.max_new_tokens}}) {
    if (value == 0) throw InputError(fmt::format("{}: expected at least 1, found 0", name));
  }
  auto prompts = given_prompts;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty())
      throw InputError(fmt::format("prompt {} has no tokens; a decoder-only model needs at least one", i + 1));
  }
  const auto limits = truncate_prompts(model.info(), tokenizer, prompts, options.max_new_tokens);
  std::vector<std::size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return prompts[a].size() > prompts[b].size(); });

  std::vector<Generated> results(prompts.size());
  const std::set<TokenId> ends = end_ids(model.info(), tokenizer);
  BatchDecoder decoder(model, options.strategy, ends, limits);
  for (std::size_t begin = 0; begin < order.size(); begin += options.batch_size) {
    const std::size_t rows = std::min(options.batch_size, order.size() - begin);
    decoder.run(std::span(order).subspan(begin, rows), prompts, results, [&](std::size_t rows_ended) {
      if (on_progress) on_progress(begin + rows_ended);
    });
  }
  warn_about_truncated_answers(results, options.max_new_tokens, model.info());
  return results;
}

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer, bool has_encoder, const std::string& text) {
  return text::encode_input(tokenizer, has_encoder, text);
}

std::vector<std::string> generate(LanguageModel& model, const Tokenizer& tokenizer,
                                  const std::vector<std::string>& prompts, const GenerationOptions& options) {
  std::vector<std::vector<TokenId>> ids;
  for (const std::string& prompt : prompts) ids.push_back(encode_prompt(tokenizer, model.info().has_encoder, prompt));
  std::vector<std::string> texts;
  for (const Generated& continuation : generate_ids(model, tokenizer, ids, options)) {
    texts.push_back(tokenizer.decode(continuation.ids));
  }
  return texts;
}

}  // namespace lockstep::generation
