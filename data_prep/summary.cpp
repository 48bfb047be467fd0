#include "data_prep/summary.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

namespace lockstep::data_prep {
namespace {

constexpr std::uint32_t kMaxBars = 12;
constexpr double kBarCells = 40;

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "" : fmt::format(" ({:.2f} %)", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string length_line(const char* title, const data::LengthHistogram& lengths) {
  return fmt::format("  {:<10}{:>8}{:>8}{:>8}{:>8}\n", title, lengths.percentile(0.50), lengths.percentile(0.90),
                     lengths.percentile(0.99), lengths.max());
}

// Returns "    first: rows.jsonl: line 3, rows.jsonl: line 9, ...", or an empty string if there are no positions.
std::string first_line(const std::vector<std::string>& positions, std::uint64_t count) {
  if (positions.empty()) return "";
  return fmt::format("    first: {}{}\n", fmt::join(positions, ", "), count > positions.size() ? ", ..." : "");
}

std::string first_line(const data::TokenizationReport& report, const std::string& kind, std::uint64_t count) {
  const auto found = report.first_rows.find(kind);
  return found == report.first_rows.end() ? "" : first_line(found->second, count);
}

// Returns the smallest of 1, 2, 5, 10, 20, 50, ... with which kMaxBars bars cover `max`.
std::uint32_t bar_width(std::uint32_t max) {
  std::uint64_t width = 1;
  for (int step = 0; width * kMaxBars <= max; ++step) width = step % 3 == 1 ? width / 2 * 5 : width * 2;
  return static_cast<std::uint32_t>(width);
}

std::string format_histogram(const char* title, const data::LengthHistogram& lengths) {
  const std::uint32_t width = bar_width(lengths.max());
  std::vector<std::uint64_t> bars(lengths.max() / width + 1);
  for (const auto& [length, count] : lengths.counts()) bars[length / width] += count;
  const std::uint64_t highest = *std::ranges::max_element(bars);
  std::string text = fmt::format("{} (tokens: examples)\n", title);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double share = highest == 0 ? 0 : static_cast<double>(bars[i]) / static_cast<double>(highest);
    std::string bar;
    for (auto cells = std::lround(std::ceil(share * kBarCells)); cells > 0; --cells) bar += "█";
    const std::size_t first = i * width;
    text += fmt::format("  {:>6}{:<7} {:>10} {}\n", first, width == 1 ? "" : fmt::format("-{}", first + width - 1),
                        bars[i], bar);
  }
  return text;
}

}  // namespace

std::string format_summary(const std::filesystem::path& folder, const data::Manifest& manifest) {
  const data::TokenizationReport& report = manifest.report;
  const data::RowsRead& read = report.read;
  std::uint64_t bytes = 0;
  for (const auto& shard : manifest.shards) bytes += shard.bytes;
  std::string text = folder.string() + "\n";
  const auto line = [&](const char* title, const std::string& value) {
    text += fmt::format("  {:<20}{}\n", title, value);
  };
  const auto counted = [&](const char* title, std::uint64_t count, std::uint64_t whole) {
    line(title, fmt::format("{}{}", count, percentage(count, whole)));
  };
  const std::uint64_t all_rows = std::accumulate(read.dataset_rows.begin(), read.dataset_rows.end(), std::uint64_t{0});
  line("rows", fmt::format("{}{} in {} file{}", read.rows, all_rows == read.rows ? "" : fmt::format(" of {}", all_rows),
                           manifest.sources.size(), manifest.sources.size() == 1 ? "" : "s"));
  line("examples", fmt::to_string(report.examples));
  line("tokens", fmt::format("{}: {} input + {} target", report.input_tokens + report.target_tokens,
                             report.input_tokens, report.target_tokens));
  line("model_max_length", manifest.model_max_length ? fmt::to_string(*manifest.model_max_length) : "none");
  counted("truncated inputs", report.truncated_inputs, report.examples);
  text += first_line(report, "truncated_inputs", report.truncated_inputs);
  counted("truncated targets", report.truncated_targets, report.examples);
  text += first_line(report, "truncated_targets", report.truncated_targets);
  line("empty outputs", fmt::to_string(report.empty_outputs));
  text += first_line(report, "empty_outputs", report.empty_outputs);
  for (const auto& [title, kind, count] : {std::tuple{"doubled BOS", "doubled_bos", report.doubled_bos},
                                           std::tuple{"doubled EOS", "doubled_eos", report.doubled_eos}}) {
    if (count == 0) continue;
    counted(title, count, report.examples);
    text += first_line(report, kind, count);
  }
  counted("duplicate rows", read.duplicates, read.rows);
  if (read.compared_rows < read.rows) text += fmt::format("    among the first {} rows\n", read.compared_rows);
  text += first_line(read.first_duplicates, read.duplicates);
  counted("dropped", report.dropped_rows(), read.rows);
  for (const auto& [reason, count] : report.dropped) {
    text += fmt::format("    {} x {}\n", count, reason) + first_line(report, reason, count);
  }
  if (read.duplicates_dropped) text += fmt::format("    {} x duplicate of an earlier row\n", read.duplicates);
  line("shards", fmt::format("{}, {:.1f} MB", manifest.shards.size(), static_cast<double>(bytes) / 1e6));
  text += fmt::format("  {:<10}{:>8}{:>8}{:>8}{:>8}\n", "length", "p50", "p90", "p99", "max");
  text += length_line("input", report.input_lengths);
  text += length_line("target", report.target_lengths);
  text += length_line("total", report.total_lengths);
  return text;
}

std::string format_histograms(const data::TokenizationReport& report) {
  return format_histogram("input lengths", report.input_lengths) +
         format_histogram("target lengths", report.target_lengths) +
         format_histogram("total lengths", report.total_lengths);
}

}  // namespace lockstep::data_prep
