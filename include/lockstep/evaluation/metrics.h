#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lockstep/evaluation/evaluator.h"

namespace lockstep::evaluation {

/// A metric of an evaluation.
struct Metric {
  /// The key in the totals of `lockstep evaluate`. In metrics.jsonl and on the console, "eval_" precedes it.
  std::string_view name;
  /// Computes the metric from the results of `rows`: of a whole dataset, or of any of its rows.
  double (*compute)(std::span<const RowLoss> rows);
};

/// Returns all metrics, the loss first.
std::span<const Metric> metrics();

struct MetricValue {
  std::string_view name;
  double value = 0;
};

/// Computes all metrics() of `rows`.
std::vector<MetricValue> compute_metrics(std::span<const RowLoss> rows);

}  // namespace lockstep::evaluation
