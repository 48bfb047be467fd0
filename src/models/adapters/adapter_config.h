#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/json.h"
#include "lockstep/models/adapters/lora.h"
#include "lockstep/text/components/regular_expression.h"

namespace lockstep::models {

/// What an adapter_config.json of peft says of each module.
class AdapterConfig {
 public:
  /// Throws InputError naming the key that has a value of another type, or that changes what is computed in a way that
  /// Lockstep does not compute.
  explicit AdapterConfig(const Json& config);

  std::int64_t rank(const std::string& module) const;
  double scale(const std::string& module) const;
  double dropout() const { return dropout_; }
  /// Whether the adapter must have tensors for `module`. Where the config chooses by more than names, its tensors alone
  /// tell.
  bool requires_module(const std::string& module) const;

 private:
  /// Values by regular expressions of modules' names, which may have anything and a dot before them; the first counts.
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

/// Whether the path of a module is one of `targets` or ends with one behind a dot: peft's rule.
bool is_target(const std::string& module, const std::vector<std::string>& targets);

/// The adapter_config.json of a new adapter.
Json new_adapter_config(const LoraConfig& config, const ModelInfo& info, const std::vector<std::string>& targets,
                        bool fan_in_fan_out);

}  // namespace lockstep::models
