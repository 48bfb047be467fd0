#pragma once

#include <string>
#include <vector>

#include "cli/doctor/all_reduce_timing.h"
#include "cli/doctor/rank_facts.h"

namespace lockstep::cli {

/// The facts as text: a line a rank, then what hosts have, one entry for hosts that have the same, then versions.
std::string format_facts(const std::vector<RankFacts>& ranks);

/// A line a size; empty without timings.
std::string format_timings(const std::vector<AllReduceTiming>& timings, int ranks);

/// A line each, or that nothing is wrong.
std::string format_advice(const std::vector<std::string>& advice);

}  // namespace lockstep::cli
