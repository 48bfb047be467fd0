// dataset_probe reads a JSON object per line of standard input: the location of datasets, with the keys of their
// format. It prints, for each, the files and rows that Dataset::find() reads, or the error. The oracles use it.

#include <iostream>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/data/dataset.h"

namespace {

using lockstep::Json;

lockstep::DatasetOptions options_of(const Json& request) {
  lockstep::DatasetOptions options;
  auto& format = options.format;
  format.input_column = request.value("input_column", format.input_column);
  format.output_column = request.value("output_column", format.output_column);
  if (request.contains("csv_delimiter")) format.csv_delimiter = request.at("csv_delimiter").get<std::string>();
  if (request.contains("csv_quote")) {
    const std::string quote = request.at("csv_quote");
    format.csv_quote = quote == "none" ? std::nullopt : std::optional(quote);
  }
  return options;
}

Json probe(const Json& request) {
  Json files = Json::array(), rows = Json::array();
  try {
    for (const auto& dataset : lockstep::Dataset::find(request.at("location"), options_of(request))) {
      files.push_back(dataset.name());
      const auto reader = dataset.open();
      while (const auto row = reader->next()) rows.push_back({row->model_input, row->model_output});
    }
  } catch (const lockstep::InputError& error) {
    return {{"files", files}, {"rows", rows}, {"error", error.what()}};
  }
  return {{"files", files}, {"rows", rows}};
}

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) std::cout << probe(Json::parse(line)).dump() << '\n';
}
