#include <fmt/format.h>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/job_inputs.h"
#include "lockstep/batching/batch_cost.h"
#include "lockstep/batching/epoch_plan.h"
#include "lockstep/core/error.h"
#include "lockstep/train/activation_plan.h"

namespace lockstep::cli {
namespace {

struct InspectArguments {
  std::string job;
  std::vector<std::string> overrides;
  bool plan = false;
  std::vector<int> ranks = {1};
  std::uint64_t epochs = 1;
};

void print_plan(const InspectArguments& arguments) {
  const job::JobFile job = job::load_job_file(arguments.job, arguments.overrides);
  const auto training = open_training_rows(job);
  const batching::BatchCost cost = batching::batch_cost(*build_model_of(job));
  fmt::print("{} rows\n{:>6}{:>7}{:>8}{:>15}{:>10}{:>10}{:>10}\n", training->size(), "ranks", "epoch", "steps",
             "micro-batches", "padding", "balance", "largest");
  for (const int ranks : arguments.ranks) {
    for (std::uint64_t epoch = 0; epoch < arguments.epochs; ++epoch) {
      const batching::EpochPlan plan =
          batching::plan_epoch(*training, job.hyperparameters, cost, ranks, epoch, train::kMaxTokensOnHost);
      fmt::print("{:>6}{:>7}{:>8}{:>15}{:>8.2f} %{:>10.4f}{:>10}\n", ranks, epoch + 1, plan.steps, plan.micro_batches,
                 100 * plan.padding, plan.balance, plan.largest_micro_batch);
    }
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = app.add_subcommand(
      "inspect", "Shows how the ranks would share the rows that lockstep-prep prepared for a job (--plan).");
  command->add_option("JOB.yaml", arguments->job, "job file")->required();
  command->add_option("key=value", arguments->overrides, "values that replace those of the job file");
  command->add_flag("--plan", arguments->plan, "print a line for each number of ranks and each epoch");
  command->add_option("--ranks", arguments->ranks, "numbers of ranks, separated by commas")
      ->delimiter(',')
      ->type_name("N,...")
      ->allow_extra_args(false)
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--epochs", arguments->epochs, "number of epochs, from the first one on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 30));
  command->footer(
      "padding: share of the multiply-adds spent on padding, which only attention on GPUs has. balance: the mean\n"
      "work of a rank divided by that of the busiest rank, averaged over the steps; 1 is best. largest: the largest\n"
      "micro-batch, in tokens, if memory does not limit it.");
  command->callback([arguments] {
    if (!arguments->plan) {
      throw InputError(
          "inspect: expected --plan, found nothing to show; add it, or see what prepared sets hold with lockstep-prep "
          "inspect");
    }
    print_plan(*arguments);
  });
}

}  // namespace lockstep::cli
