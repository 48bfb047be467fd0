#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lockstep/job/key_table.h"

namespace lockstep::generation {

/// The rows of a batch whose next tokens are to be chosen. A random choice depends on `prompts` and `new_tokens` and
/// not on a row's place in the batch, so that the batch size changes nothing.
struct RunningRows {
  at::Tensor logits;                     // [rows, vocabulary], fp32
  std::span<const std::size_t> prompts;  // index of each row's prompt
  std::size_t new_tokens = 0;            // that each row already has
};

// A decoding strategy is a struct with
// - kName, the value of `lockstep generate --strategy`, and kHelp, what it does, for --help;
// - bind(), which binds its settings to a table; `lockstep generate` has an option for each, e.g. --top-k for top_k;
// - choose(), which returns the next token of each row, [rows] int64 on the device of the logits.

/// Takes the most probable token, as transformers' generate(do_sample=False).
struct Greedy {
  static constexpr std::string_view kName = "greedy";
  static constexpr std::string_view kHelp = "the most probable one";
  void bind(job::KeyTable&) {}
  at::Tensor choose(const RunningRows& rows) const { return rows.logits.argmax(-1); }
};

/// Every strategy; the first is the default.
using Strategy = std::variant<Greedy>;

/// Returns one strategy of each kind, with its default settings.
std::vector<Strategy> strategies();

std::string_view name_of(const Strategy& strategy);

/// Returns a table that sets the settings of `strategy`, which must outlive it.
job::KeyTable settings_of(Strategy& strategy);

/// Returns the strategy called `name` with `settings`, pairs of a key and its text; other settings have their defaults.
/// Throws InputError for an unknown name or key, and for an invalid text.
Strategy make_strategy(std::string_view name, const std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace lockstep::generation
