#include "lockstep/evaluation/metrics.h"

#include <gmock/gmock.h>

#include <map>
#include <string>

namespace lockstep::evaluation {
namespace {

struct Case {
  std::vector<RowLoss> rows;
  double expected = 0;
};

// At least one case for each metric.
const std::multimap<std::string, Case>& cases() {
  static const std::multimap<std::string, Case> all = {
      {"loss", {.rows = {{.loss_sum = 6, .target_tokens = 2}, {.loss_sum = 3, .target_tokens = 4}}, .expected = 1.5}},
      {"loss", {.rows = {}, .expected = 0}},
  };
  return all;
}

TEST(Metrics, HaveTheValuesOfTheirCases) {
  for (const Metric& metric : metrics()) {
    const auto [first, last] = cases().equal_range(std::string(metric.name));
    EXPECT_NE(first, last) << metric.name << " has no case";
    for (auto i = first; i != last; ++i) {
      EXPECT_NEAR(metric.compute(i->second.rows), i->second.expected, 1e-9) << metric.name;
    }
  }
}

TEST(Metrics, AreComputedInTheirOrder) {
  const std::vector<RowLoss> rows = {{.loss_sum = 6, .target_tokens = 2}};
  std::vector<std::string_view> names;
  for (const Metric& metric : metrics()) names.push_back(metric.name);
  std::vector<std::string_view> computed;
  for (const MetricValue& value : compute_metrics(rows)) computed.push_back(value.name);
  EXPECT_EQ(computed, names);
  EXPECT_THAT(compute_metrics(rows).front().value, 3);
}

}  // namespace
}  // namespace lockstep::evaluation
