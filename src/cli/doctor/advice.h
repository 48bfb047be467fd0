#pragma once

#include <string>
#include <vector>

#include "cli/doctor/rank_facts.h"

namespace lockstep::cli {

/// What is wrong with where the ranks of a job run, a line each: where, what, the remedy. A pure function of the facts.
std::vector<std::string> advise(const std::vector<RankFacts>& ranks);

}  // namespace lockstep::cli
