#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/text/components/regular_expression.h"

namespace lockstep::models {

/// Holds the settings for each module in an adapter_config.json of peft.
class AdapterConfig {
 public:
  /// Parses the config. Throws InputError naming the key if a value has the wrong type or selects an unsupported
  /// computation.
  explicit AdapterConfig(const Json& config);

  std::int64_t rank(const std::string& module) const;
  double scale(const std::string& module) const;
  double dropout() const { return dropout_; }
  /// Returns whether the adapter must have tensors for `module`. Always false if the config selects modules by more
  /// than names; then only the tensors in the file tell.
  bool requires_module(const std::string& module) const;

 private:
  /// Values by regular expression. An expression matches the path of a module, or its end after a dot; the first match
  /// applies.
  template <class Value>
  using Patterns = std::vector<std::pair<text::Regex, Value>>;

  std::int64_t rank_ = 8;
  double alpha_ = 8, dropout_ = 0;
  bool use_rslora_ = false;
  Patterns<std::int64_t> ranks_;
  Patterns<double> alphas_;
  std::vector<std::string> targets_;
  std::optional<text::Regex> target_pattern_;
};

/// Returns whether the path of a module equals one of `targets` or ends with one after a dot, which is peft's rule.
bool is_target(const std::string& module, const std::vector<std::string>& targets);

/// Returns the adapter_config.json of a new adapter.
Json new_adapter_config(const LoraConfig& config, const ModelInfo& info, const std::vector<std::string>& targets,
                        bool fan_in_fan_out);

}  // namespace lockstep::models
