#include "lockstep/data/work_share.h"

namespace lockstep::data {

WorkShare find_work_share(const core::LaunchEnvironment& environment) {
  WorkShare share;
  if (const auto array = environment.array_task()) share = {array->index, array->count};
  const auto ranks = environment.ranks();
  if (!ranks || !ranks->rank) return share;
  return {share.rank * ranks->size + *ranks->rank, share.size * ranks->size};
}

}  // namespace lockstep::data
