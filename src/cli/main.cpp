#include <fmt/format.h>
#include <hdf5.h>
#include <torch/version.h>
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "commands.h"
#include "lockstep/comm/mpi_communicator.h"
#include "lockstep/comm/nccl_version.h"
#include "lockstep/core/log.h"
#include "ranks.h"

namespace {

std::string describe_versions() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("lockstep {}\nLibTorch {}\nMPI {}\nNCCL {}\nHDF5 {}.{}.{}", LOCKSTEP_VERSION, TORCH_VERSION,
                     lockstep::mpi_library_version(), lockstep::nccl_library_version(), major, minor, release);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Fine-tunes T5-type and GPT-type models, data-parallel over the ranks of mpirun or srun."};
  app.name("lockstep");
  app.require_subcommand(1);
  app.set_version_flag("--version", describe_versions);
  lockstep::add_train_command(app);
  lockstep::add_generate_command(app);
  lockstep::add_evaluate_command(app);
  lockstep::add_models_command(app);
  lockstep::add_export_command(app);
  lockstep::add_merge_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    lockstep::report_error(fmt::format("{}; see lockstep --help", error.what()));
    return EXIT_FAILURE;
  } catch (const std::exception& error) {
    lockstep::report_error(lockstep::describe_error(error));
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
