#include "lockstep/core/memory_limit.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace lockstep::core {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

std::uint64_t physical_bytes(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::uint64_t kilobytes = 0;
  for (std::string name, unit; file >> name >> kilobytes && std::getline(file, unit);) {
    if (name == "MemTotal:") return kilobytes << 10;
  }
  return kNone;
}

// Reads a number from a file. No file, or "max" in it, means no limit.
std::uint64_t number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  return file >> number ? number : kNone;
}

// Returns the lowest limit of a control group and its ancestors. Inside a container the group's own path may be
// invisible; the folder `top` then is the container's group.
std::uint64_t lowest_limit(const fs::path& top, const fs::path& group, const char* file) {
  std::uint64_t lowest = number_in(top / file);
  for (fs::path path = group.relative_path(); !path.empty(); path = path.parent_path()) {
    lowest = std::min(lowest, number_in(top / path / file));
  }
  return lowest;
}

std::uint64_t control_group_bytes(const fs::path& root) {
  std::uint64_t lowest = kNone;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/a/b"; in version 1, "4:memory:/a/b"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path group = line.substr(second + 1);
    const fs::path groups = root / "sys/fs/cgroup";
    if (controllers.empty()) lowest = std::min(lowest, lowest_limit(groups, group, "memory.max"));
    if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      lowest = std::min(lowest, lowest_limit(groups / "memory", group, "memory.limit_in_bytes"));
    }
  }
  return lowest;
}

}  // namespace

std::uint64_t memory_limit(const fs::path& root) {
  const std::uint64_t bytes = std::min(physical_bytes(root), control_group_bytes(root));
  return bytes == kNone ? 0 : bytes;
}

}  // namespace lockstep::core
