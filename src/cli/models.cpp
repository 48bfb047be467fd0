#include "lockstep/models/families.h"

#include <fmt/format.h>

#include "cli/commands.h"

namespace lockstep::cli {
namespace {

void print_family(const models::Family& family) {
  fmt::print("{}\n  models:    {}\n  kind:      {} ({})\n", family.model_type, family.models,
             family.facts->has_encoder ? "T5-type, has_encoder: true" : "GPT-type, has_encoder: false",
             family.architecture);
  if (!family.features.empty()) fmt::print("  computes:  {}\n", family.features);
  fmt::print("  LoRA:      {} by default\n", fmt::join(family.lora_targets, ", "));
  if (!family.limits.empty()) fmt::print("  refuses:   {}\n", family.limits);
}

void print_families() {
  fmt::print("Families of models, by the model_type in config.json. A refused option is named in the message.\n\n");
  for (const models::Family& family : models::families()) print_family(family);
  fmt::print(
      "\n"
      "The supported rope types (rope_parameters, or rope_scaling and rope_theta) are default, linear, dynamic,\n"
      "yarn, longrope and llama3. Beyond the length that the model was trained for, dynamic and longrope depend on\n"
      "the padded length of the batch, as in transformers.\n");
}

}  // namespace

void add_models_command(CLI::App& app) {
  app.add_subcommand("models",
                     "Lists the families of models: which models belong to them, what is computed, what is refused.")
      ->callback(&print_families);
}

}  // namespace lockstep::cli
