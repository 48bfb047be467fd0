#include "summary.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/data/shard_reader.h"

namespace lockstep {
namespace {

constexpr std::size_t kMaxShownBytes = 600;  // of one text

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "" : fmt::format(" ({:.2f} %)", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string length_line(const char* title, const LengthHistogram& lengths) {
  return fmt::format("  {:<10}{:>8}{:>8}{:>8}{:>8}\n", title, lengths.percentile(0.50), lengths.percentile(0.90),
                     lengths.percentile(0.99), lengths.max());
}

// Control characters would act on the terminal; newlines and tabs are spelled out too, an example is a line.
std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    if (c == '\n') {
      shown += "\\n";
    } else if (c == '\t') {
      shown += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      shown += c;
    }
  }
  return shown;
}

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Long texts lose their middle.
std::string shorten(const std::string& text) {
  if (text.size() <= kMaxShownBytes) return text;
  std::size_t head = kMaxShownBytes / 2;
  while (head > 0 && continues_character(text[head])) --head;
  std::size_t tail = text.size() - kMaxShownBytes / 2;
  while (tail < text.size() && continues_character(text[tail])) ++tail;
  return fmt::format("{} [...] {}", text.substr(0, head), text.substr(tail));
}

std::string show(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  return shorten(printable(tokenizer.decode(ids, /*skip_special_tokens=*/false)));
}

}  // namespace

std::string format_summary(const PreparedSet& set) {
  const Manifest& manifest = set.manifest;
  const TokenizationReport& report = manifest.report;
  std::uint64_t bytes = 0;
  for (const auto& shard : manifest.shards) bytes += shard.bytes;
  std::string text = fmt::format("{} data: {}\n", set.name, set.folder.string());
  const auto line = [&](const char* title, const std::string& value) {
    text += fmt::format("  {:<20}{}\n", title, value);
  };
  line("rows", fmt::format("{} in {} file{}", report.read.rows, manifest.sources.size(),
                           manifest.sources.size() == 1 ? "" : "s"));
  line("examples", fmt::to_string(report.examples));
  line("tokens", fmt::format("{}: {} input + {} target", report.input_tokens + report.target_tokens,
                             report.input_tokens, report.target_tokens));
  line("model_max_length", manifest.model_max_length ? fmt::to_string(*manifest.model_max_length) : "none");
  line("truncated inputs",
       fmt::format("{}{}", report.truncated_inputs, percentage(report.truncated_inputs, report.examples)));
  line("truncated targets",
       fmt::format("{}{}", report.truncated_targets, percentage(report.truncated_targets, report.examples)));
  line("empty outputs", fmt::to_string(report.empty_outputs));
  line("dropped", fmt::format("{}{}", report.dropped_rows(), percentage(report.dropped_rows(), report.read.rows)));
  for (const auto& [reason, count] : report.dropped) text += fmt::format("    {} x {}\n", count, reason);
  line("shards", fmt::format("{}, {:.1f} MB", manifest.shards.size(), static_cast<double>(bytes) / 1e6));
  text += fmt::format("  {:<10}{:>8}{:>8}{:>8}{:>8}\n", "length", "p50", "p90", "p99", "max");
  text += length_line("input", report.input_lengths);
  text += length_line("target", report.target_lengths);
  text += length_line("total", report.total_lengths);
  return text;
}

std::string format_examples(const PreparedSet& set, const Tokenizer& tokenizer, std::size_t count) {
  const auto dataset = PreparedDataset::open(set.folder, VerifyShards::no);
  std::string text;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, dataset->size()); ++i) {
    const Example example = dataset->read(i);
    text += fmt::format("example {} ({} + {} tokens, the label between « and »):\n  ", i + 1, example.input.size(),
                        example.target.size());
    text += show(tokenizer, example.input);
    if (dataset->has_encoder()) text += "\n  ";  // two sequences; a decoder-only model sees one
    text += fmt::format("«{}»\n", show(tokenizer, example.target));
  }
  return text;
}

}  // namespace lockstep
