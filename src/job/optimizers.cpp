#include "lockstep/job/optimizers.h"

#include <fmt/format.h>
#include <vector>

namespace lockstep::job {

std::string titles_of_optimizers(bool OptimizerFacts::*fact) {
  std::vector<std::string_view> titles;
  for (const OptimizerFacts& optimizer : kOptimizers) {
    if (optimizer.*fact) titles.push_back(optimizer.title);
  }
  if (titles.size() < 2) return fmt::format("{}", fmt::join(titles, ""));
  return fmt::format("{} and {}", fmt::join(titles.begin(), titles.end() - 1, ", "), titles.back());
}

}  // namespace lockstep::job
