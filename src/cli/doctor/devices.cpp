#include "cli/doctor/devices.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNvidia = "0x10de";
constexpr std::string_view kDisplayClass = "0x03";  // VGA and 3D controllers
constexpr std::string_view kLoopback = "lo";

struct PlacedAdapter {
  NetworkAdapter adapter;
  fs::path place;  // path in the sysfs device tree; empty: a virtual device
};

// Returns the first line of a file, or an empty string if it cannot be read: much of sysfs exists only for some
// devices.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int number_in(const fs::path& path) {
  const std::string line = first_line(path);
  int number = -1;
  std::from_chars(line.data(), line.data() + line.size(), number);
  return number;
}

// Returns the entries of a folder, sorted by name; empty if there is no such folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder, error)) entries.push_back(entry.path());
  std::ranges::sort(entries);
  return entries;
}

fs::path place_of(const fs::path& device) {
  std::error_code error;
  const fs::path place = fs::canonical(device, error);
  return error ? fs::path() : place;
}

std::vector<PlacedAdapter> find_infiniband(const fs::path& sys) {
  std::vector<PlacedAdapter> found;
  for (const fs::path& entry : entries_of(sys / "class/infiniband")) {
    std::optional<std::string> rate;  // of the first port that is up
    for (const fs::path& port : entries_of(entry / "ports")) {
      const bool is_up = first_line(port / "state").find("ACTIVE") != std::string::npos;
      if (is_up && !rate) rate = fmt::format("{} {}", first_line(port / "rate"), first_line(port / "link_layer"));
    }
    if (!rate) continue;
    found.push_back({{.name = entry.filename(),
                      .rate = *rate,
                      .is_infiniband = true,
                      .numa_node = number_in(entry / "device/numa_node")},
                     place_of(entry / "device")});
  }
  return found;
}

std::vector<PlacedAdapter> find_interfaces(const fs::path& sys) {
  std::vector<PlacedAdapter> found;
  for (const fs::path& entry : entries_of(sys / "class/net")) {
    if (entry.filename() == kLoopback || first_line(entry / "operstate") != "up") continue;
    const int megabits = number_in(entry / "speed");  // -1 for virtual interfaces
    found.push_back({{.name = entry.filename(),
                      .rate = megabits > 0 ? fmt::format("{} Mb/s", megabits) : "",
                      .numa_node = number_in(entry / "device/numa_node")},
                     place_of(entry / "device")});
  }
  return found;
}

// Returns the model from the driver's file, which has a line such as "Model: \t\t NVIDIA H100 80GB HBM3".
std::string model_of(const fs::path& information) {
  constexpr std::string_view kKey = "Model:";
  std::ifstream file(information);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kKey)) continue;
    const std::size_t begin = line.find_first_not_of(" \t", kKey.size());
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

// Returns the number of path components that two devices share from the root of the tree, or 0 if they do not share a
// PCI root bus.
std::ptrdiff_t shared_way(const fs::path& a, const fs::path& b) {
  std::ptrdiff_t shared = 0;
  bool has_bus = false;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end() && *i == *j; ++i, ++j) {
    ++shared;
    has_bus = has_bus || i->string().starts_with("pci");
  }
  return has_bus ? shared : 0;
}

std::string nearest_to(const fs::path& place, const std::vector<PlacedAdapter>& adapters) {
  const PlacedAdapter* nearest = nullptr;
  std::ptrdiff_t longest = 0;
  for (const PlacedAdapter& adapter : adapters) {
    const std::ptrdiff_t shared = shared_way(place, adapter.place);
    if (shared <= longest) continue;
    longest = shared;
    nearest = &adapter;
  }
  return nearest == nullptr ? "" : nearest->adapter.name;
}

}  // namespace

Devices find_devices(const fs::path& root) {
  const fs::path sys = root / "sys";
  std::vector<PlacedAdapter> adapters = find_infiniband(sys);
  std::ranges::move(find_interfaces(sys), std::back_inserter(adapters));
  Devices devices;
  for (const fs::path& entry : entries_of(sys / "bus/pci/devices")) {
    if (first_line(entry / "vendor") != kNvidia || !first_line(entry / "class").starts_with(kDisplayClass)) continue;
    devices.gpus.push_back({.address = entry.filename(),
                            .model = model_of(root / "proc/driver/nvidia/gpus" / entry.filename() / "information"),
                            .numa_node = number_in(entry / "numa_node"),
                            .nearest_adapter = nearest_to(place_of(entry), adapters)});
  }
  for (PlacedAdapter& adapter : adapters) devices.adapters.push_back(std::move(adapter.adapter));
  return devices;
}

}  // namespace lockstep::cli
