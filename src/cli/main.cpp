#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/ranks.h"
#include "cli/versions.h"
#include "lockstep/core/log.h"

namespace {

std::string describe_versions() {
  std::vector<std::string> lines;
  for (const auto& [name, version] : lockstep::cli::library_versions())
    lines.push_back(fmt::format("{} {}", name, version));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fine-tunes T5-type and GPT-type models, data-parallel over the ranks of mpirun or srun."};
  app.name("lockstep");
  app.require_subcommand(1);
  app.set_version_flag("--version", describe_versions);
  lockstep::cli::add_train_command(app);
  lockstep::cli::add_generate_command(app);
  lockstep::cli::add_evaluate_command(app);
  lockstep::cli::add_models_command(app);
  lockstep::cli::add_export_command(app);
  lockstep::cli::add_merge_command(app);
  lockstep::cli::add_inspect_command(app);
  lockstep::cli::add_plan_command(app);
  lockstep::cli::add_doctor_command(app);
  lockstep::cli::add_submit_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::RuntimeError& done) {  // thrown by a command that has already reported its result
    return done.get_exit_code();
  } catch (const CLI::ParseError& error) {
    lockstep::core::report_error(fmt::format("{}; see lockstep --help", error.what()));
    return EXIT_FAILURE;
  } catch (const std::exception& error) {
    lockstep::core::report_error(lockstep::cli::describe_error(error));
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
