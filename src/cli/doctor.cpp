#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/doctor/advice.h"
#include "cli/doctor/all_reduce_timing.h"
#include "cli/doctor/rank_facts.h"
#include "cli/doctor/report.h"
#include "cli/ranks.h"
#include "lockstep/core/byte_size.h"

namespace lockstep::cli {
namespace {

constexpr std::chrono::seconds kTimeout{120};

struct DoctorArguments {
  std::vector<std::string> sizes = {"4KB", "16KB", "64KB", "256KB", "1MB", "4MB", "16MB", "64MB"};
  double seconds = 0.2;
};

std::vector<std::uint64_t> parse_sizes(const DoctorArguments& arguments) {
  std::vector<std::uint64_t> sizes;
  for (const std::string& size : arguments.sizes) {
    try {
      sizes.push_back(core::parse_byte_size(size));
    } catch (const InputError& error) {
      throw InputError(fmt::format("--sizes: {}", error.what()));
    }
  }
  return sizes;
}

// Returns true on every rank if nothing is wrong.
bool examine(const DoctorArguments& arguments, Communicator& communicator) {
  std::vector<std::uint64_t> sizes;
  comm::run_on_all(communicator, [&] { sizes = parse_sizes(arguments); });
  communicator.set_timeout(kTimeout);
  communicator.set_activity("lockstep doctor");
  const std::vector<RankFacts> ranks = gather_rank_facts(communicator);
  const std::vector<std::string> advice = advise(ranks);
  std::vector<AllReduceTiming> timings;
  if (ranks.size() > 1) timings = time_all_reduce(communicator, sizes, arguments.seconds);
  if (!communicator.is_root()) return advice.empty();

  fmt::print("{}{}", format_facts(ranks), format_timings(timings, communicator.world_size()));
  if (std::ranges::any_of(ranks, [](const RankFacts& rank) { return !rank.gpus.empty(); })) {
    fmt::print("\nsums of GPU tensors over NCCL are not timed; launch/gpu_check.sh checks them\n");
  }
  fmt::print("{}", format_advice(advice));
  return advice.empty();
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* command = app.add_subcommand("doctor",
                                         "Shows where the ranks of a job run, times the sums that they exchange, and "
                                         "reports what is wrong. Start it like the job, with mpirun or srun.");
  command->add_option("--sizes", arguments->sizes, "message sizes of the timed sums")
      ->delimiter(',')
      ->type_name("SIZE,...")
      ->default_str("4KB,16KB,...,64MB");
  command->add_option("--seconds", arguments->seconds, "time for each size")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 60.0));
  command->footer(
      "Clocks are compared with rank 0's, to within some milliseconds. Bus bandwidth is defined as in nccl-tests:\n"
      "bytes / time x 2 (ranks - 1) / ranks. Exit code: 0 if nothing is wrong, else 1.");
  command->callback([arguments] {
    bool is_well = false;
    run_on_ranks(
        [&](const std::shared_ptr<Communicator>& communicator) { is_well = examine(*arguments, *communicator); });
    if (!is_well) throw CLI::RuntimeError(EXIT_FAILURE);
  });
}

}  // namespace lockstep::cli
