#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/choice_option.h"
#include "cli/commands.h"
#include "cli/dataset_options.h"
#include "cli/output_path.h"
#include "cli/ranks.h"
#include "lockstep/comm/compute_device.h"
#include "lockstep/comm/threads.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/json.h"
#include "lockstep/core/progress.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/data/contained_output.h"
#include "lockstep/data/example.h"
#include "lockstep/generation/trained_model.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/finite_weights.h"

namespace lockstep::cli {
namespace {

struct GenerateArguments {
  std::string model;
  std::string input;
  DatasetOptions input_options{.default_split = "validation", .output_is_optional = true};
  std::string output;
  std::string prompt;
  GenerationOptions options;
  std::string strategy{generation::name_of(GenerationOptions().strategy)};
  std::vector<std::pair<std::string, std::string>> settings;  // of the strategy
  job::DeviceChoice device = job::DeviceChoice::kAuto;
};

std::vector<data::Row> read_rows(const GenerateArguments& arguments, const TrainedModel& model) {
  std::vector<data::Row> rows;
  const auto reader = data::open_for_model(Dataset::from_file(arguments.input, arguments.input_options),
                                           *model.tokenizer, model.model->info().has_encoder);
  while (auto row = reader->next()) {
    core::check_stop_signal(kNothingWritten);
    rows.push_back(std::move(*row));
  }
  if (rows.empty()) throw InputError(arguments.input + ": expected at least one row, found none");
  return rows;
}

void write_predictions(core::AtomicFile& file, const std::vector<data::Row>& rows,
                       const std::vector<std::string>& predictions) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Json line = {
        {"model_input", rows[i].model_input}, {"model_output", rows[i].model_output}, {"prediction", predictions[i]}};
    file.write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

std::vector<generation::Generated> continue_prompts(const GenerateArguments& arguments, const TrainedModel& model,
                                                    const std::vector<std::vector<TokenId>>& prompts) {
  core::Progress progress("generate", "row", prompts.size());
  return generation::generate_ids(*model.model, *model.tokenizer, prompts, arguments.options, [&](std::size_t done) {
    core::check_stop_signal(kNothingWritten);
    progress.update(done);
  });
}

std::vector<TokenId> prompt_of(const TrainedModel& model, const std::string& text) {
  return generation::encode_prompt(*model.tokenizer, model.model->info().has_encoder, text);
}

void generate_for_prompt(const GenerateArguments& arguments, const TrainedModel& model) {
  const auto generated = continue_prompts(arguments, model, {prompt_of(model, arguments.prompt)});
  fmt::print("{}\n", model.tokenizer->decode(generated.front().ids));
}

void generate_for_file(const GenerateArguments& arguments, const TrainedModel& model, core::AtomicFile& output) {
  const std::vector<data::Row> rows = read_rows(arguments, model);
  std::vector<std::vector<TokenId>> prompts;
  std::size_t doubled = 0;
  for (const data::Row& row : rows) {
    prompts.push_back(prompt_of(model, row.model_input));
    const auto& ids = prompts.back();
    const bool is_doubled = data::begins_with_two_bos(ids, *model.tokenizer) ||
                            (model.model->info().has_encoder && data::ends_with_two_eos(ids, *model.tokenizer));
    doubled += is_doubled ? 1 : 0;
  }
  if (doubled > 0) {
    spdlog::warn(
        "{} of {} prompts have BOS or EOS twice, because their text spells it as well; remove it from the text",
        doubled, rows.size());
  }
  const auto generated = continue_prompts(arguments, model, prompts);
  std::vector<std::string> predictions;
  std::size_t stopped = 0;
  for (const generation::Generated& continuation : generated) {
    predictions.push_back(model.tokenizer->decode(continuation.ids));
    stopped += continuation.reached_eos ? 1 : 0;
  }
  write_predictions(output, rows, predictions);
  fmt::print("{} predictions in {}, {} of them ended with EOS\n", rows.size(), arguments.output, stopped);
}

TrainedModel load_named_model(const GenerateArguments& arguments, at::Device device) {
  TrainedModel trained =
      TrainedModel::load(hub::resolve_model(arguments.model, {}, hub::hub_settings_from_environment));
  models::check_finite_weights(*trained.model);
  trained.model->to(device);
  return trained;
}

// Adds --strategy, and an option for each setting of any strategy.
void add_strategy_options(CLI::App& command, GenerateArguments& arguments) {
  std::vector<std::string> names;
  std::vector<std::string> help;
  std::map<std::string, std::string> settings;  // help by key: strategies may share one
  for (generation::Strategy& strategy : generation::strategies()) {
    names.emplace_back(generation::name_of(strategy));
    help.push_back(
        std::visit([](const auto& kind) { return fmt::format("{}: {}", kind.kName, kind.kHelp); }, strategy));
    for (const auto& [key, key_help] : generation::settings_of(strategy).help()) settings.emplace(key, key_help);
  }
  command
      .add_option("--strategy", arguments.strategy,
                  fmt::format("how the next token is chosen; {}", fmt::join(help, "; ")))
      ->capture_default_str()
      ->check(CLI::IsMember(names));
  for (const auto& [key, key_help] : settings) {
    std::string name = "--" + key;
    std::ranges::replace(name, '_', '-');
    command.add_option_function<std::string>(
        name, [&arguments, key = key](const std::string& text) { arguments.settings.emplace_back(key, text); },
        key_help);
  }
}

void generate_command(const GenerateArguments& arguments, Communicator& communicator) {
  comm::run_on_all(communicator, [&] {
    if (communicator.world_size() > 1)
      throw InputError("generate runs as one process; start it without mpirun or srun -n");
  });
  comm::set_compute_threads(0, communicator);
  if (!arguments.input.empty()) data::warn_of_literal_escapes(arguments.input_options.format);
  const at::Device device = comm::compute_device_of_rank(arguments.device, communicator);
  if (arguments.input.empty()) {
    generate_for_prompt(arguments, load_named_model(arguments, device));
  } else {
    check_output_is_no_input(arguments.output, Dataset::from_file(arguments.input, arguments.input_options),
                             arguments.model);
    core::AtomicFile output(arguments.output);  // opened first, to fail before the work
    generate_for_file(arguments, load_named_model(arguments, device), output);
  }
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* command = app.add_subcommand("generate", "Answers the rows of a file, or one prompt, in batches.");
  command->add_option("--model", arguments->model, "model folder, adapter folder, or hub name")
      ->required()
      ->type_name("MODEL");
  CLI::Option* input =
      command
          ->add_option("--input", arguments->input,
                       "rows to answer, which need no outputs: a file or folder as in a job's validation_datasets (see "
                       "lockstep-prep --help)")
          ->type_name("FILE");
  add_dataset_options(*command, arguments->input_options);
  CLI::Option* output = command
                            ->add_option("--output", arguments->output,
                                         "file to write: model_input, model_output and prediction of each row")
                            ->type_name("FILE.jsonl");
  expand_home_in(output);
  CLI::Option* prompt =
      command->add_option("--prompt", arguments->prompt, "one prompt in place of a file; the answer goes to stdout");
  add_strategy_options(*command, *arguments);
  command->add_option("--max-new-tokens", arguments->options.max_new_tokens, "length of the longest answer, in tokens")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--batch-size", arguments->options.batch_size, "rows of a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  add_choice(*command, "--device", arguments->device, "where to compute; auto: on a GPU if there is one");
  input->needs(output);
  output->needs(input);
  prompt->excludes(input);
  command->callback([arguments, input, prompt] {
    if (input->count() == 0 && prompt->count() == 0) throw CLI::RequiredError("--input or --prompt");
    arguments->options.strategy = generation::make_strategy(arguments->strategy, arguments->settings);
    core::install_stop_signals();
    run_on_ranks(
        [&](const std::shared_ptr<Communicator>& communicator) { generate_command(*arguments, *communicator); });
  });
}

}  // namespace lockstep::cli
