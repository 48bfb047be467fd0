#include <fmt/format.h>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/output_path.h"
#include "lockstep/core/byte_size.h"
#include "lockstep/core/error.h"
#include "lockstep/generation/trained_model.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/models/adapters/lora.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, at::ScalarType> kTypes = {
    {"fp32", at::kFloat}, {"fp16", at::kHalf}, {"bf16", at::kBFloat16}};

struct ExportArguments {
  std::string model;
  std::string output;
  std::string type = "fp32";
  std::string max_shard_size = "5GB";
};

TrainedModel load(const ExportArguments& arguments) {
  return TrainedModel::load(hub::resolve_model(arguments.model, {}, hub::hub_settings_from_environment));
}

TrainedModel load_and_merge(const ExportArguments& arguments) {
  TrainedModel trained = load(arguments);
  if (!models::has_adapter(*trained.model)) {
    throw InputError(
        fmt::format("--model: {}: expected the folder of a LoRA adapter (adapter_config.json), found a whole "
                    "model; use lockstep export for a whole model",
                    arguments.model));
  }
  models::merge_adapter(*trained.model);
  return trained;
}

// Checks the arguments, then writes the model that `load` returns.
void write_model(const ExportArguments& arguments, TrainedModel (*load)(const ExportArguments&)) {
  const SaveOptions options{.type = kTypes.at(arguments.type),
                            .max_shard_bytes = core::parse_byte_size(arguments.max_shard_size)};
  if (fs::exists(arguments.output) && !(fs::is_directory(arguments.output) && fs::is_empty(arguments.output))) {
    throw InputError(
        fmt::format("--output: expected an empty or new folder, found {}; give another", arguments.output));
  }
  const TrainedModel trained = load(arguments);
  trained.save(arguments.output, options);
  fmt::print("{} and tokenizer, weights in {}, saved in {}\n",
             models::has_adapter(*trained.model) ? "adapter" : "model", arguments.type, arguments.output);
}

std::string problem_of_size(const std::string& text) {
  try {
    core::parse_byte_size(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

void add_command(CLI::App& app, const char* name, const char* help, const char* help_of_model,
                 TrainedModel (*load)(const ExportArguments&)) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--model", arguments->model, help_of_model)->required()->type_name("DIR");
  expand_home_in(command->add_option("--output", arguments->output, "new folder for model, config and tokenizer"))
      ->required()
      ->type_name("DIR");
  command->add_option("--dtype", arguments->type, "type of the weights: fp32, fp16 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}));
  command
      ->add_option("--max-shard-size", arguments->max_shard_size,
                   "a larger model is written in several files of at most this size")
      ->capture_default_str()
      ->check(CLI::Validator(&problem_of_size, "SIZE"));
  command->callback([arguments, load] { write_model(*arguments, load); });
}

}  // namespace

void add_export_command(CLI::App& app) {
  add_command(app, "export",
              "Writes a model for transformers, with weights of the given type, in one safetensors file or in shards.",
              "model folder, adapter folder, or hub name", &load);
}

void add_merge_command(CLI::App& app) {
  add_command(app, "merge",
              "Adds a LoRA adapter to the weights of its base model, and writes a whole model for transformers.",
              "folder of an adapter", &load_and_merge);
}

}  // namespace lockstep::cli
