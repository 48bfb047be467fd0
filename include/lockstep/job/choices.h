#pragma once

#include <array>
#include <string>

#include "lockstep/job/named_values.h"

namespace lockstep::job {

// The values of job keys that take one of several names. docs/job-file.md says what each does.

/// Whether matrix products of training are computed in bf16; kAuto: if that is measured to be faster.
enum class Bf16Products { kOff, kOn, kAuto };
template <>
struct NamesOf<Bf16Products> {
  using enum Bf16Products;
  static constexpr auto kNames = std::to_array<Named<Bf16Products>>({{kOff, "false"}, {kOn, "true"}, {kAuto, "auto"}});
};

enum class DeviceChoice { kAuto, kCpu, kCuda };
template <>
struct NamesOf<DeviceChoice> {
  using enum DeviceChoice;
  static constexpr auto kNames = std::to_array<Named<DeviceChoice>>({{kAuto, "auto"}, {kCpu, "cpu"}, {kCuda, "cuda"}});
};

/// When the validation loss is computed.
enum class EvaluationStrategy { kNo, kEpoch };
template <>
struct NamesOf<EvaluationStrategy> {
  using enum EvaluationStrategy;
  static constexpr auto kNames = std::to_array<Named<EvaluationStrategy>>({{kNo, "no"}, {kEpoch, "epoch"}});
};

/// Whether the backward pass recomputes layers; kAuto: only if memory requires it.
enum class GradientCheckpointing { kOff, kOn, kAuto };
template <>
struct NamesOf<GradientCheckpointing> {
  using enum GradientCheckpointing;
  static constexpr auto kNames =
      std::to_array<Named<GradientCheckpointing>>({{kOff, "false"}, {kOn, "true"}, {kAuto, "auto"}});
};

/// The type in which gradients are sent and summed.
enum class GradientReduceType { kFp32, kBf16 };
template <>
struct NamesOf<GradientReduceType> {
  using enum GradientReduceType;
  static constexpr auto kNames = std::to_array<Named<GradientReduceType>>({{kFp32, "fp32"}, {kBf16, "bf16"}});
};

/// Whether model_input already ends with model_output, as in the rows that prompt2model writes for decoder-only models.
/// With kAuto, the first rows decide (see find_contained_outputs in data/contained_output.h).
enum class InputContainsOutput { kAuto, kYes, kNo };
template <>
struct NamesOf<InputContainsOutput> {
  using enum InputContainsOutput;
  static constexpr auto kNames =
      std::to_array<Named<InputContainsOutput>>({{kAuto, "auto"}, {kYes, "true"}, {kNo, "false"}});
};

/// How the learning rate changes over the steps.
enum class LrScheduler { kLinear, kCosine, kConstant, kConstantWithWarmup };
template <>
struct NamesOf<LrScheduler> {
  using enum LrScheduler;
  static constexpr auto kNames = std::to_array<Named<LrScheduler>>({{kLinear, "linear"},
                                                                    {kCosine, "cosine"},
                                                                    {kConstant, "constant"},
                                                                    {kConstantWithWarmup, "constant_with_warmup"}});
};

/// The metric of an evaluation that the best model minimises.
enum class BestMetric { kEvalLoss };
template <>
struct NamesOf<BestMetric> {
  using enum BestMetric;
  static constexpr auto kNames = std::to_array<Named<BestMetric>>({{kEvalLoss, "eval_loss"}, {kEvalLoss, "loss"}});
};

/// What the ranks share: the stages of ZeRO, each of which also shares what the previous one shares.
enum class OptimizerSharding { kNone, kState, kStateAndGradients, kFull };
template <>
struct NamesOf<OptimizerSharding> {
  using enum OptimizerSharding;
  static constexpr auto kNames = std::to_array<Named<OptimizerSharding>>(
      {{kNone, "none"}, {kState, "state"}, {kStateAndGradients, "state_and_gradients"}, {kFull, "full"}});
};
constexpr bool shares_state(OptimizerSharding sharding) { return sharding >= OptimizerSharding::kState; }
constexpr bool shares_gradients(OptimizerSharding sharding) {
  return sharding >= OptimizerSharding::kStateAndGradients;
}
constexpr bool shares_parameters(OptimizerSharding sharding) { return sharding == OptimizerSharding::kFull; }

enum class PeftType { kNone, kLora };
template <>
struct NamesOf<PeftType> {
  using enum PeftType;
  static constexpr auto kNames = std::to_array<Named<PeftType>>({{kNone, "none"}, {kLora, "lora"}});
};

/// When a checkpoint is saved.
enum class SaveStrategy { kNo, kSteps, kEpoch, kTime };
template <>
struct NamesOf<SaveStrategy> {
  using enum SaveStrategy;
  static constexpr auto kNames =
      std::to_array<Named<SaveStrategy>>({{kNo, "no"}, {kSteps, "steps"}, {kEpoch, "epoch"}, {kTime, "time"}});
};

/// Which ranks read the weights of a job's model.
enum class WeightsIo {
  kEach,      // every rank reads its own files
  kBroadcast  // the root reads and sends them, one parameter at a time; other ranks need only config.json and an
              // adapter
};
template <>
struct NamesOf<WeightsIo> {
  using enum WeightsIo;
  static constexpr auto kNames = std::to_array<Named<WeightsIo>>({{kEach, "each"}, {kBroadcast, "broadcast"}});
};

/// The checkpoint that a run resumes from.
struct ResumeFrom {
  enum class Kind {
    kNewest,  // the newest intact one in output_dir, if there is one
    kNever,
    kFolder
  };
  Kind kind = Kind::kNewest;
  std::string folder = {};  // of the checkpoint, for kFolder

  /// Reads "auto", "never", or a checkpoint's folder.
  static ResumeFrom from_text(const std::string& text) {
    if (text == "auto") return {Kind::kNewest};
    if (text == "never") return {Kind::kNever};
    return {Kind::kFolder, text};
  }
  std::string to_text() const { return kind == Kind::kNewest ? "auto" : kind == Kind::kNever ? "never" : folder; }

  bool operator==(const ResumeFrom&) const = default;
};

}  // namespace lockstep::job
