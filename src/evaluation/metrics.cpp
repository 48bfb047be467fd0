#include "lockstep/evaluation/metrics.h"

#include <array>

namespace lockstep::evaluation {
namespace {

// The mean over the target tokens of all rows, in natural logarithms.
double loss(std::span<const RowLoss> rows) { return total(rows).mean(); }

constexpr std::array kMetrics = {
    Metric{"loss", &loss},
};

}  // namespace

std::span<const Metric> metrics() { return kMetrics; }

std::vector<MetricValue> compute_metrics(std::span<const RowLoss> rows) {
  std::vector<MetricValue> values;
  for (const Metric& metric : kMetrics) values.push_back({metric.name, metric.compute(rows)});
  return values;
}

}  // namespace lockstep::evaluation
