#include <fmt/format.h>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/job_inputs.h"
#include "lockstep/batching/batch_cost.h"
#include "lockstep/batching/epoch_plan.h"
#include "lockstep/core/error.h"
#include "lockstep/train/activation_plan.h"
#include "lockstep/train/cost_model.h"

namespace lockstep::cli {
namespace {

// Peak throughput of dense matrix products and memory size, from NVIDIA's data sheets of the SXM modules.
struct GpuModel {
  double fp32_flops, tf32_flops, half_flops;
  double memory_bytes;
};
const std::map<std::string, GpuModel> kGpus = {{"a100", {19.5e12, 156e12, 312e12, 80e9}},
                                               {"h100", {67e12, 494.7e12, 989.4e12, 80e9}},
                                               {"h200", {67e12, 494.7e12, 989.4e12, 141e9}}};
// Memory of the program itself and of blocks that its allocator keeps: measured on a CPU; on a GPU a guess that
// includes CUDA's context and libraries.
constexpr double kProgramOnHost = 300e6, kProgramOnGpu = 600e6;

struct PlanArguments {
  std::string job;
  std::vector<std::string> overrides;
  std::vector<int> ranks;
  std::string gpu;
  double share = 0.4;
  std::optional<double> measured_flops;
  std::string link;
};

// Parses a rate in bits per second, such as "400Gb", "1Gb" or "100Mb". Returns bytes per second.
double parse_link(const std::string& text) {
  static const std::map<std::string, double> kUnits = {{"Mb", 1e6}, {"Gb", 1e9}, {"Tb", 1e12}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto unit = kUnits.find(std::string(end, text.data() + text.size()));
  if (error != std::errc() || number <= 0 || unit == kUnits.end()) {
    throw InputError(fmt::format("--link: expected bits a second, as 400Gb, 1Gb or 100Mb, found '{}'", text));
  }
  return number * unit->second / 8;
}

// Returns the GPU's peak for the type in which the job computes matrix products.
double peak_flops(const GpuModel& gpu, const Hyperparameters& job) {
  return job.bf16 != job::Bf16Products::kOff || job.fp16 ? gpu.half_flops : job.tf32 ? gpu.tf32_flops : gpu.fp32_flops;
}

train::Machine machine_of(const PlanArguments& arguments, const Hyperparameters& job) {
  const double flops = arguments.measured_flops.value_or(
      arguments.gpu.empty() ? 0 : peak_flops(kGpus.at(arguments.gpu), job) * arguments.share);
  if (flops <= 0) {
    throw InputError("plan: expected --gpu or --measured-flops, found neither; give one of them");
  }
  return {.flops = flops,
          .link_bytes_per_second = parse_link(arguments.link),
          .program_bytes = arguments.gpu.empty() ? kProgramOnHost : kProgramOnGpu};
}

void print_estimates(const PlanArguments& arguments) {
  const job::JobFile job = job::load_job_file(arguments.job, arguments.overrides);
  const train::Machine machine = machine_of(arguments, job.hyperparameters);
  if (job.hyperparameters.peft_type != job::PeftType::kNone) {
    throw InputError("peft_type: expected none, found lora; plan only supports full fine-tuning");
  }
  const auto training = open_training_rows(job);
  const auto model = build_model_of(job);
  const train::ModelSize size = train::measure_model(*model, job.hyperparameters.optim);
  batching::BatchCost cost = batching::batch_cost(*model);
  cost.pads_attention = !arguments.gpu.empty();
  const auto bucket_bytes = static_cast<double>(job.hyperparameters.ddp_bucket_cap_mb << 20);
  const double memory = arguments.gpu.empty() ? 0 : kGpus.at(arguments.gpu).memory_bytes;
  const std::uint64_t enough = arguments.gpu.empty() ? train::kMaxTokensOnHost : train::kMaxTokensOnGpu;
  const std::uint64_t longest = train::longest_row(*training);
  bool is_too_large = false;
  fmt::print("{:.1f} million parameters; {:.4g} Gflop/s a rank, links of {:.4g} Gbit/s\n", size.parameters / 1e6,
             machine.flops / 1e9, machine.link_bytes_per_second * 8 / 1e9);
  fmt::print("{:>6}  {:<20}{:>11} {:>12}{:>12}{:>11}{:>12}{:>12}\n", "ranks", "optimizer_sharding", "memory",
             "computes", "exchanges", "step", "tokens/s", "efficiency");
  for (const int ranks : arguments.ranks) {
    std::map<std::uint64_t, batching::EpochPlan> plans;  // by token limit
    for (const auto& [sharding, sharding_name] : job::NamesOf<job::OptimizerSharding>::kNames) {
      const double held = train::held_bytes(size, ranks, sharding, bucket_bytes);
      const train::ActivationPlan activations =
          train::plan_activations(size, job.hyperparameters, {memory, held}, enough, longest);
      const std::uint64_t limit = activations.max_tokens;
      if (!plans.contains(limit)) {
        plans[limit] = batching::plan_epoch(*training, job.hyperparameters, cost, ranks, 0, limit);
      }
      const batching::EpochPlan& plan = plans[limit];
      const train::StepWork work{.multiply_adds = plan.max_rank_cost,
                                 .mean_multiply_adds = plan.mean_cost,
                                 .tokens = static_cast<double>(plan.tokens) / static_cast<double>(plan.steps),
                                 .passes = plan.max_rank_micro_batches,
                                 .largest_micro_batch = static_cast<double>(plan.largest_micro_batch),
                                 .recomputes_layers = activations.recomputes_layers};
      const train::StepEstimate found = train::estimate_step(size, work, machine, ranks, sharding, bucket_bytes);
      const bool fits = memory == 0 || found.memory_bytes <= memory;
      is_too_large = is_too_large || !fits;
      fmt::print("{:>6}  {:<20}{:>8.3f} GB{} {:>9.4f} s {:>9.4f} s {:>8.4f} s {:>11.0f} {:>9.1f} %\n", ranks,
                 sharding_name, found.memory_bytes / 1e9, fits ? ' ' : '!', found.compute_s, found.communication_s,
                 found.step_s, found.tokens_per_second, 100 * found.efficiency);
    }
  }
  if (is_too_large) fmt::print("!: more than the {:.0f} GB of the GPU\n", memory / 1e9);
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command = app.add_subcommand(
      "plan", "Estimates memory, time and efficiency of a prepared job's steps on other machines, without using them.");
  command->add_option("JOB.yaml", arguments->job, "job file")->required();
  command->add_option("key=value", arguments->overrides, "values that replace those of the job file");
  command->add_option("--gpus", arguments->ranks, "numbers of ranks, with one GPU each, or of CPU ranks")
      ->required()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("N,...")
      ->check(CLI::Range(1, 1 << 20));
  CLI::Option* gpu = command->add_option("--gpu", arguments->gpu, "model of the GPU: a100, h100 or h200")
                         ->type_name("GPU")
                         ->check(CLI::IsMember({"a100", "h100", "h200"}));
  command
      ->add_option("--share", arguments->share,
                   "share that is reached of the GPU's peak in bf16, fp16, tf32 or fp32, whichever the job uses")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 1.0));
  command
      ->add_option("--measured-flops", arguments->measured_flops,
                   "floating-point operations per second that a rank reaches, in place of --gpu")
      ->check(CLI::PositiveNumber)
      ->excludes(gpu);
  command->add_option("--link", arguments->link, "bits per second that a rank sends, e.g. 400Gb, 1Gb or 100Mb")
      ->required()
      ->type_name("RATE");
  command->footer(
      "docs/cost_model.md explains the cost model, its sources, and what it leaves out. exchanges: time that\n"
      "messages take, whether or not it overlaps computing. efficiency: the mean computing time of a rank as a\n"
      "share of the step.");
  command->callback([arguments] { print_estimates(*arguments); });
}

}  // namespace lockstep::cli
