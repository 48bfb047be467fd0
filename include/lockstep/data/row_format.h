#pragma once

#include <optional>
#include <string>

#include "lockstep/job/choices.h"

namespace lockstep::data {

using job::InputContainsOutput;

/// How the columns of a file become model_input and model_output. In a template, `{name}` stands for the row's cell in
/// column `name`, and `{{` and `}}` stand for braces. `{model_input}` and `{model_output}` stand for input_column and
/// output_column; those columns are required only if a template uses them.
struct RowFormat {
  std::string input_column = "model_input";
  std::string output_column = "model_output";
  std::string prompt_template = "{model_input}";
  std::string response_template = "{model_output}";
  InputContainsOutput input_contains_output = InputContainsOutput::kAuto;
  /// One character, or "tab"; nullopt: a comma in CSV, a tab in TSV.
  std::optional<std::string> csv_delimiter = std::nullopt;
  /// The character around cells that contain delimiters or newlines; nullopt: quotes are text.
  std::optional<std::string> csv_quote = "\"";

  bool operator==(const RowFormat&) const = default;
};

/// Logs a warning for each template in which a backslash is followed by n, r or t: the model would learn these two
/// characters, where a newline or a tab is probably meant.
void warn_of_literal_escapes(const RowFormat& format);

}  // namespace lockstep::data
