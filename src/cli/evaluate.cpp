#include <fmt/format.h>
#include <spdlog/spdlog.h>
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
#include "lockstep/comm/stop_requests.h"
#include "lockstep/comm/threads.h"
#include "lockstep/core/atomic_file.h"
#include "lockstep/core/json.h"
#include "lockstep/core/progress.h"
#include "lockstep/core/stop_flag.h"
#include "lockstep/data/contained_output.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/evaluation/evaluator.h"
#include "lockstep/evaluation/metrics.h"
#include "lockstep/generation/pretrained_model.h"
#include "lockstep/generation/trained_model.h"
#include "lockstep/models/finite_weights.h"

namespace lockstep::cli {
namespace {

struct EvaluateArguments {
  std::string model;
  std::string dataset;
  DatasetOptions dataset_options{.default_split = "validation"};
  std::string output;
  std::uint64_t batch_size = 16;
  std::optional<std::size_t> model_max_length;
  job::DeviceChoice device = job::DeviceChoice::kAuto;
};

// Tokenizes every row without dropping any, so that the output has one line per row.
std::unique_ptr<TokenizedDataset> tokenize_every_row(const EvaluateArguments& arguments, const TrainedModel& model) {
  const models::ModelInfo& info = model.model->info();
  const auto max_length =
      data::find_length_limit(arguments.model_max_length, *model.tokenizer, info.max_positions).tokens;
  const ExampleBuilder builder(model.tokenizer, info.has_encoder, max_length);
  const auto reader = data::open_for_model(Dataset::from_file(arguments.dataset, arguments.dataset_options),
                                           *model.tokenizer, info.has_encoder);
  std::vector<data::Example> examples;
  std::uint64_t truncated = 0, doubled = 0;
  while (const auto row = reader->next()) {
    core::check_stop_signal(kNothingWritten);
    auto result = builder.build(*row);
    data::check_token_ids(result.example, static_cast<std::uint64_t>(info.vocabulary_size), *model.tokenizer,
                          reader->position());
    truncated += result.input_truncated || result.target_truncated ? 1 : 0;
    doubled += result.doubled_bos || result.doubled_eos ? 1 : 0;
    examples.push_back(std::move(result.example));
  }
  if (examples.empty()) throw InputError(arguments.dataset + ": expected at least one row, found none");
  if (truncated > 0) spdlog::warn("{} of {} rows are truncated to {} tokens", truncated, examples.size(), *max_length);
  if (doubled > 0) {
    spdlog::warn("{} of {} rows have BOS or EOS twice, because their text spells it as well; remove it from the text",
                 doubled, examples.size());
  }
  return std::make_unique<data::InMemoryTokenizedDataset>(std::move(examples), info.has_encoder,
                                                          model.tokenizer->digest());
}

void write_results(core::AtomicFile& file, const std::vector<evaluation::RowLoss>& rows) {
  for (const evaluation::RowLoss& row : rows) {
    file.write(Json({{"loss_sum", row.loss_sum}, {"target_tokens", row.target_tokens}}).dump() + "\n");
  }
  file.commit();
  const evaluation::LossTotals totals = total(rows);
  Json line = {{"rows", rows.size()}, {"loss_sum", totals.loss_sum}, {"target_tokens", totals.target_tokens}};
  for (const auto& [name, value] : evaluation::compute_metrics(rows)) line[std::string(name)] = value;
  fmt::print("{}\n", line.dump());
}

void evaluate(const EvaluateArguments& arguments, const std::shared_ptr<Communicator>& communicator) {
  std::optional<core::AtomicFile> output;  // opened first, to fail before the work if the path is not writable
  comm::run_on_all(*communicator, [&] {
    check_output_is_no_input(arguments.output, Dataset::from_file(arguments.dataset, arguments.dataset_options),
                             arguments.model);
    if (!communicator->is_root()) return;
    data::warn_of_literal_escapes(arguments.dataset_options.format);
    output.emplace(arguments.output);
  });
  StopRequests stop_requests(communicator);
  const at::Device device = comm::compute_device_of_rank(arguments.device, *communicator);
  const auto resolved =
      generation::resolve_on_ranks(arguments.model, {}, hub::hub_settings_from_environment, *communicator);
  stop_requests.check(kNothingWritten);
  TrainedModel model;
  std::unique_ptr<TokenizedDataset> dataset;
  comm::run_on_all(*communicator, [&] { model.tokenizer = generation::load_tokenizer_of(resolved); });
  model.model = generation::load_on_ranks(resolved, job::WeightsIo::kEach, *communicator);
  comm::run_on_all(*communicator, [&] { models::check_finite_weights(*model.model); });
  stop_requests.check(kNothingWritten);
  comm::run_on_all(*communicator, [&] { dataset = tokenize_every_row(arguments, model); });
  comm::set_compute_threads(0, *communicator);
  model.model->to(device);
  core::Progress progress("evaluate", "row", dataset->size(), communicator->is_root());
  const auto rows = evaluation::evaluate_rows(
      *model.model, *dataset, arguments.batch_size, model.tokenizer->pad_id().value(), *communicator,
      [&](std::uint64_t done) { progress.update(done); }, &stop_requests);
  progress.clear();
  if (!rows) stop_requests.stop(kNothingWritten);
  comm::run_on_all(*communicator, [&] {
    if (communicator->is_root()) write_results(*output, *rows);
  });
}

}  // namespace

void add_evaluate_command(CLI::App& app) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* command = app.add_subcommand(
      "evaluate",
      "Computes the negative log-likelihood of a dataset's answers: one line per row, and totals on stdout.");
  command->add_option("--model", arguments->model, "model folder, adapter folder, or hub name")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--dataset", arguments->dataset,
                   "rows to evaluate: a file or folder as in a job's validation_datasets (see lockstep-prep --help)")
      ->required()
      ->type_name("FILE");
  add_dataset_options(*command, arguments->dataset_options);
  expand_home_in(
      command->add_option("--output", arguments->output,
                          "file to write: loss_sum (over the answer's tokens and its EOS, natural logarithm) and "
                          "target_tokens of each row"))
      ->required()
      ->type_name("FILE.jsonl");
  command->add_option("--batch-size", arguments->batch_size, "rows of a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--model-max-length", arguments->model_max_length,
                      "tokens to which rows are truncated [the tokenizer's own limit, else the model's]");
  add_choice(*command, "--device", arguments->device, "where to compute; auto: on a GPU if there is one");
  command->callback([arguments] {
    core::install_stop_signals();
    run_on_ranks([&](const std::shared_ptr<Communicator>& communicator) { evaluate(*arguments, communicator); });
  });
}

}  // namespace lockstep::cli
