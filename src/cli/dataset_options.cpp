#include "cli/dataset_options.h"

#include "cli/choice_option.h"

namespace lockstep::cli {

void add_dataset_options(CLI::App& command, DatasetOptions& options) {
  data::RowFormat& format = options.format;
  command.add_option("--input-column", format.input_column, "column that holds the input")->capture_default_str();
  command.add_option("--output-column", format.output_column, "column that holds the output")->capture_default_str();
  command
      .add_option("--prompt-template", format.prompt_template, "text that the model reads, with any column in braces")
      ->capture_default_str();
  command
      .add_option("--response-template", format.response_template,
                  "text that the model is to write, with any column in braces")
      ->capture_default_str();
  const auto add_mark = [&](const char* name, std::optional<std::string>& value, const char* help) {
    command
        .add_option_function<std::string>(
            name, [&value](const std::string& text) { value = text == "none" ? std::nullopt : std::optional(text); },
            help)
        ->default_str(value.value_or("none"));
  };
  add_mark("--csv-delimiter", format.csv_delimiter,
           "character between the cells of CSV and TSV files, or tab; none: a comma in .csv, a tab in .tsv");
  add_mark("--csv-quote", format.csv_quote,
           "character around cells of CSV and TSV files that contain delimiters or newlines; none: quotes are text");
  add_choice(command, "--input-contains-output", format.input_contains_output,
             "whether inputs already end with their outputs, which are then removed from the inputs");
}

}  // namespace lockstep::cli
