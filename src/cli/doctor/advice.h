#pragma once

#include <string>
#include <vector>

#include "cli/doctor/rank_facts.h"

namespace lockstep::cli {

/// Returns what is wrong with the environment of the job's ranks, one line each: where, what, the remedy. A pure
/// function of the facts.
std::vector<std::string> advise(const std::vector<RankFacts>& ranks);

}  // namespace lockstep::cli
