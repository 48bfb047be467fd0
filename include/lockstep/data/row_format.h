#pragma once

#include <string>
#include <string_view>

namespace lockstep::data {

/// Whether model_input already ends with model_output, as in the rows that prompt2model writes for decoder-only models.
/// `automatic` finds out from the first rows (open_for_model).
enum class InputContainsOutput { automatic, yes, no };

/// "auto", "true" or "false", as a job file has it.
std::string_view to_text(InputContainsOutput value);
/// Throws InputError for any other text.
InputContainsOutput parse_input_contains_output(std::string_view text);

/// How the columns of a file become model_input and model_output. In a template, `{name}` stands for the row's cell in
/// the column `name`, `{{` and `}}` for braces. `{model_input}` and `{model_output}` stand for input_column and
/// output_column: a template that uses neither needs neither.
struct RowFormat {
  std::string input_column = "model_input";
  std::string output_column = "model_output";
  std::string prompt_template = "{model_input}";
  std::string response_template = "{model_output}";
  InputContainsOutput input_contains_output = InputContainsOutput::automatic;

  bool operator==(const RowFormat&) const = default;
};

}  // namespace lockstep::data
