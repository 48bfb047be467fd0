#include <fmt/format.h>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "commands.h"
#include "lockstep/core/byte_size.h"
#include "lockstep/core/error.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/train/base_trainer.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, at::ScalarType> kTypes = {
    {"fp32", at::kFloat}, {"fp16", at::kHalf}, {"bf16", at::kBFloat16}};

struct Arguments {
  std::string model;
  std::string output;
  std::string type = "fp32";
  std::string max_shard_size = "5GB";
};

void export_command(const Arguments& arguments) {
  const SaveOptions options{.type = kTypes.at(arguments.type),
                            .max_shard_bytes = parse_byte_size(arguments.max_shard_size)};
  if (fs::exists(arguments.output) && !(fs::is_directory(arguments.output) && fs::is_empty(arguments.output))) {
    throw InputError(
        fmt::format("--output: expected an empty or new folder, found {}; give another", arguments.output));
  }
  TrainedModel::load(resolve_model(arguments.model, {}, hub_settings_of_environment).folder)
      .save(arguments.output, options);
  fmt::print("model and tokenizer, weights in {}, saved in {}\n", arguments.type, arguments.output);
}

std::string problem_of_size(const std::string& text) {
  try {
    parse_byte_size(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

void add_export_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "export", "Writes a model anew for transformers: weights of another type, in one safetensors file or in shards.");
  command->add_option("--model", arguments->model, "model folder, or a name of the hub")->required()->type_name("DIR");
  command->add_option("--output", arguments->output, "a new folder: model, config and tokenizer")
      ->required()
      ->type_name("DIR");
  command->add_option("--dtype", arguments->type, "type of the weights: fp32, fp16 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}));
  command->add_option("--max-shard-size", arguments->max_shard_size, "a larger model is written in several files")
      ->capture_default_str()
      ->check(CLI::Validator(&problem_of_size, "SIZE"));
  command->callback([arguments] { export_command(*arguments); });
}

}  // namespace lockstep
