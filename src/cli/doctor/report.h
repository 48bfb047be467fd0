#pragma once

#include <string>
#include <vector>

#include "cli/doctor/all_reduce_timing.h"
#include "cli/doctor/rank_facts.h"

namespace lockstep::cli {

/// Returns the facts as text: one line per rank, then the properties of the hosts, where hosts with the same properties
/// share an entry, then the library versions.
std::string format_facts(const std::vector<RankFacts>& ranks);

/// Returns one line per message size, or an empty string if there are no timings.
std::string format_timings(const std::vector<AllReduceTiming>& timings, int ranks);

/// Returns one line per piece of advice, or a line that says that nothing is wrong.
std::string format_advice(const std::vector<std::string>& advice);

}  // namespace lockstep::cli
