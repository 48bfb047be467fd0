#include <fmt/format.h>
#include <memory>
#include <string>

#include "data_prep/commands.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/hub/resolve.h"

namespace lockstep::data_prep {
namespace {

void download(const std::string& name) {
  hub::ResolveOptions options;
  options.refresh = true;
  options.before_weights = [](const std::filesystem::path& folder) { data::describe_model_folder(folder); };
  fmt::print("{}\n", hub::resolve_model(name, options, hub::hub_settings_from_environment).folder.string());
}

}  // namespace

void add_download_command(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "download",
      "Fetches a model of the hub into the cache, e.g. for nodes without a network, and prints its folder.");
  command->add_option("name", *name, "ORG/NAME, or ORG/NAME@REVISION with a branch, a tag or a commit")
      ->required()
      ->type_name("NAME");
  command->footer(
      "The cache is that of huggingface_hub, with the same variables: HF_HOME or HF_HUB_CACHE, HF_TOKEN,\n"
      "HF_ENDPOINT. Files that the cache holds are not fetched again, unless their branch has moved. Exit code: 0,\n"
      "or 1 with one message on stderr.");
  command->callback([name] { download(*name); });
}

}  // namespace lockstep::data_prep
