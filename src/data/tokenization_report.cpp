#include "lockstep/data/tokenization_report.h"

#include <fmt/format.h>
#include <charconv>
#include <cmath>

#include "lockstep/core/error.h"

namespace lockstep::data {
namespace {

Json to_json(const LengthHistogram& histogram) {
  Json json = Json::object();
  for (const auto& [length, count] : histogram.counts()) json[fmt::to_string(length)] = count;
  return json;
}

LengthHistogram histogram_from_json(const Json& json) {
  LengthHistogram histogram;
  for (const auto& [key, count] : json.items()) {
    std::uint32_t length = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), length);
    if (error != std::errc() || end != key.data() + key.size()) throw Error(fmt::format("\"{}\" is not a length", key));
    histogram.add(length, core::json_count(count));
  }
  return histogram;
}

}  // namespace

void LengthHistogram::add(std::uint32_t length, std::uint64_t count) {
  counts_[length] += count;
  total_ += count;
}

void LengthHistogram::add(const LengthHistogram& other) {
  for (const auto& [length, count] : other.counts_) add(length, count);
}

std::uint32_t LengthHistogram::percentile(double share) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
  std::uint64_t seen = 0;
  for (const auto& [length, count] : counts_) {
    seen += count;
    if (seen >= wanted) return length;
  }
  return 0;
}

std::uint32_t LengthHistogram::max() const { return counts_.empty() ? 0 : counts_.rbegin()->first; }

void TokenizationReport::add(const TokenizedRow& row) {
  if (row.dropped != nullptr) {
    ++dropped[row.dropped];
    return name_row(row.dropped, row.position);
  }
  const auto input = static_cast<std::uint32_t>(row.result.example.input.size());
  const auto target = static_cast<std::uint32_t>(row.result.example.target.size());
  const auto count = [&](bool happened, std::uint64_t& counter, const char* kind) {
    if (!happened) return;
    ++counter;
    name_row(kind, row.position);
  };
  examples += 1;
  input_tokens += input;
  target_tokens += target;
  count(row.result.input_truncated, truncated_inputs, "truncated_inputs");
  count(row.result.target_truncated, truncated_targets, "truncated_targets");
  count(row.result.empty_output, empty_outputs, "empty_outputs");
  count(row.result.doubled_bos, doubled_bos, "doubled_bos");
  count(row.result.doubled_eos, doubled_eos, "doubled_eos");
  input_lengths.add(input);
  target_lengths.add(target);
  total_lengths.add(input + target);
}

void TokenizationReport::name_row(const std::string& kind, const std::string& position) {
  auto& rows = first_rows[kind];
  if (rows.size() < kMaxNamedRows) rows.push_back(position);
}

void TokenizationReport::merge(const TokenizationReport& later) {
  examples += later.examples;
  input_tokens += later.input_tokens;
  target_tokens += later.target_tokens;
  truncated_inputs += later.truncated_inputs;
  truncated_targets += later.truncated_targets;
  empty_outputs += later.empty_outputs;
  doubled_bos += later.doubled_bos;
  doubled_eos += later.doubled_eos;
  for (const auto& [reason, count] : later.dropped) dropped[reason] += count;
  for (const auto& [kind, positions] : later.first_rows) {
    for (const auto& position : positions) name_row(kind, position);
  }
  input_lengths.add(later.input_lengths);
  target_lengths.add(later.target_lengths);
  total_lengths.add(later.total_lengths);
}

std::uint64_t TokenizationReport::dropped_rows() const {
  std::uint64_t sum = read.duplicates_dropped ? read.duplicates : 0;
  for (const auto& [reason, count] : dropped) sum += count;
  return sum;
}

void TokenizationReport::write(Json& json) const {
  json["counts"] = {{"rows", read.rows},
                    {"examples", examples},
                    {"input_tokens", input_tokens},
                    {"target_tokens", target_tokens},
                    {"truncated_inputs", truncated_inputs},
                    {"truncated_targets", truncated_targets},
                    {"empty_outputs", empty_outputs},
                    {"doubled_bos", doubled_bos},
                    {"doubled_eos", doubled_eos},
                    {"dropped", Json(dropped)},
                    {"duplicates", read.duplicates},
                    {"duplicates_dropped", read.duplicates_dropped},
                    {"rows_compared_for_duplicates", read.compared_rows}};
  json["max_lengths"] = {
      {"input", input_lengths.max()}, {"target", target_lengths.max()}, {"total", total_lengths.max()}};
  json["first_rows"] = Json(first_rows);
  json["first_duplicates"] = read.first_duplicates;
  json["length_histogram"] = {
      {"input", to_json(input_lengths)}, {"target", to_json(target_lengths)}, {"total", to_json(total_lengths)}};
}

TokenizationReport TokenizationReport::read_from(const Json& json) {
  const Json& counts = json.at("counts");
  const Json& lengths = json.at("length_histogram");
  TokenizationReport report;
  report.read.rows = core::json_count(counts.at("rows"));
  report.examples = core::json_count(counts.at("examples"));
  report.input_tokens = core::json_count(counts.at("input_tokens"));
  report.target_tokens = core::json_count(counts.at("target_tokens"));
  report.truncated_inputs = core::json_count(counts.at("truncated_inputs"));
  report.truncated_targets = core::json_count(counts.at("truncated_targets"));
  report.empty_outputs = core::json_count(counts.at("empty_outputs"));
  // Sets that earlier versions prepared do not have these counts.
  if (counts.contains("doubled_bos")) report.doubled_bos = core::json_count(counts.at("doubled_bos"));
  if (counts.contains("doubled_eos")) report.doubled_eos = core::json_count(counts.at("doubled_eos"));
  for (const auto& [reason, count] : counts.at("dropped").items()) report.dropped[reason] = core::json_count(count);
  report.read.duplicates = core::json_count(counts.at("duplicates"));
  report.read.duplicates_dropped = counts.at("duplicates_dropped");
  report.read.compared_rows = core::json_count(counts.at("rows_compared_for_duplicates"));
  report.read.first_duplicates = json.at("first_duplicates").get<std::vector<std::string>>();
  report.first_rows = json.at("first_rows").get<std::map<std::string, std::vector<std::string>>>();
  report.input_lengths = histogram_from_json(lengths.at("input"));
  report.target_lengths = histogram_from_json(lengths.at("target"));
  report.total_lengths = histogram_from_json(lengths.at("total"));
  return report;
}

}  // namespace lockstep::data
