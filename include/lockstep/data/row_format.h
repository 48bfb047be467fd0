#pragma once

#include <string>
#include <string_view>

namespace lockstep::data {

/// Whether model_input already ends with model_output, as in the rows that prompt2model writes for decoder-only models.
/// With `automatic`, the first rows decide (see open_for_model in data/contained_output.h).
enum class InputContainsOutput { automatic, yes, no };

/// Returns "auto", "true" or "false", the values that a job file uses.
std::string_view to_text(InputContainsOutput value);
/// Parses "auto", "true" or "false". Throws InputError for any other text.
InputContainsOutput parse_input_contains_output(std::string_view text);

/// How the columns of a file become model_input and model_output. In a template, `{name}` stands for the row's cell in
/// column `name`, and `{{` and `}}` stand for braces. `{model_input}` and `{model_output}` stand for input_column and
/// output_column; those columns are required only if a template uses them.
struct RowFormat {
  std::string input_column = "model_input";
  std::string output_column = "model_output";
  std::string prompt_template = "{model_input}";
  std::string response_template = "{model_output}";
  InputContainsOutput input_contains_output = InputContainsOutput::automatic;

  bool operator==(const RowFormat&) const = default;
};

}  // namespace lockstep::data
