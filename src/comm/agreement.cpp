#include "lockstep/comm/agreement.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "lockstep/comm/mpi/mpi_communicator.h"
#include "lockstep/core/json.h"

namespace lockstep::comm {
namespace {

constexpr std::size_t kNamedFacts = 3;  // maximum in a message
constexpr std::size_t kNamedRanks = 8;
constexpr const char* kNone = "none";  // stands for a fact that a rank does not have

struct Difference {
  std::string name, expected, found;
};

std::vector<Difference> differences(const SharedFacts& expected, const SharedFacts& found) {
  std::vector<Difference> result;
  std::map<std::string_view, std::string_view> left(found.begin(), found.end());
  for (const auto& [name, wanted] : expected) {
    const auto other = left.find(name);
    const std::string_view value = other == left.end() ? kNone : other->second;
    if (value != wanted) result.push_back({name, wanted, std::string(value)});
    if (other != left.end()) left.erase(other);
  }
  for (const auto& [name, value] : left) result.push_back({std::string(name), kNone, std::string(value)});
  return result;
}

std::string describe(const std::vector<Difference>& differences) {
  std::string text;
  for (std::size_t i = 0; i < std::min(differences.size(), kNamedFacts); ++i) {
    const auto& [name, expected, found] = differences[i];
    text += fmt::format("{}{}: expected {}, found {}", i == 0 ? "" : "; ", name, expected, found);
  }
  if (differences.size() > kNamedFacts) text += fmt::format("; and {} more", differences.size() - kNamedFacts);
  return text;
}

// Returns "rank 1", "ranks 1, 2, 5" or "all 63 other ranks".
std::string describe_ranks(const std::vector<std::int64_t>& ranks, int world_size) {
  if (ranks.size() == 1) return fmt::format("rank {}", ranks.front());
  if (ranks.size() + 1 == static_cast<std::size_t>(world_size)) return fmt::format("all {} other ranks", ranks.size());
  const std::size_t named = std::min(ranks.size(), kNamedRanks);
  const auto end = ranks.begin() + static_cast<std::ptrdiff_t>(named);
  return fmt::format("ranks {}{}", fmt::join(ranks.begin(), end, ", "),
                     named < ranks.size() ? fmt::format(" and {} more", ranks.size() - named) : "");
}

// Returns the ranks on which `condition` holds, on every rank.
std::vector<std::int64_t> ranks_where(Communicator& communicator, bool condition) {
  at::Tensor holds = at::zeros({communicator.world_size()}, at::kLong);
  holds[communicator.rank()] = condition ? 1 : 0;
  communicator.all_reduce_sum(holds);
  const at::Tensor ranks = holds.nonzero().contiguous();
  return {ranks.data_ptr<std::int64_t>(), ranks.data_ptr<std::int64_t>() + ranks.numel()};
}

}  // namespace

std::string describe_differences(const SharedFacts& expected, const SharedFacts& found) {
  return describe(differences(expected, found));
}

void check_agreement(Communicator& communicator, const SharedFacts& facts, const std::string& remedy) {
  const std::string own = Json(facts).dump(-1, ' ', false, Json::error_handler_t::replace);
  const Json of_root = Json::parse(broadcast_text(communicator, own));
  const std::string root = broadcast_text(communicator, describe_rank(communicator));
  // Both sides pass through JSON, which may replace bytes.
  const std::string found = describe_differences(of_root.get<SharedFacts>(), Json::parse(own).get<SharedFacts>());
  const std::vector<std::int64_t> ranks = ranks_where(communicator, !found.empty());
  if (ranks.empty()) return;
  if (ranks.front() != communicator.rank()) throw PeerFailed(fmt::format("rank {} failed", ranks.front()));
  throw InputError(fmt::format("the ranks do not agree ({} with {}): {}; {}",
                               describe_ranks(ranks, communicator.world_size()), root, found, remedy));
}

void throw_unless_first_process(const core::LaunchEnvironment::Ranks& launched) {
  if (launched.rank.value_or(0) != 0) throw PeerFailed("see the message of rank 0");
}

void check_world_size(int world_size) {
  const auto launched = core::LaunchEnvironment().ranks();
  // srun's variables may describe the step in which another launcher runs.
  if (!launched || launched->launcher == core::LaunchEnvironment::Launcher::kSrun) return;
  if (launched->size == static_cast<std::uint64_t>(world_size)) return;
  throw_unless_first_process(*launched);
  throw InputError(
      fmt::format("expected {} ranks, as the launcher reports ({}), found {}: {}, which Lockstep was built with, does "
                  "not understand this launcher, so each process would train on its own; start it with the mpirun of "
                  "this MPI, or with srun --mpi=pmix (srun --mpi=list shows the options)",
                  launched->size, launched->size_variable, world_size, mpi_library_version()));
}

}  // namespace lockstep::comm
