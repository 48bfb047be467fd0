#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep::cli {

struct NetworkAdapter {
  std::string name = {};  // "eth0", "mlx5_0"
  std::string rate = {};  // as reported by the kernel; empty: unknown
  bool is_infiniband = false;
  int numa_node = -1;  // -1: unknown
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NetworkAdapter, name, rate, is_infiniband, numa_node)

struct Gpu {
  std::string address = {};  // PCI address
  std::string model = {};    // empty: the NVIDIA driver is not loaded
  int numa_node = -1;
  std::string nearest_adapter = {};  // the adapter with the longest shared PCI path; empty: none shares any
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Gpu, address, model, numa_node, nearest_adapter)

struct Devices {
  std::vector<Gpu> gpus;                 // NVIDIA only
  std::vector<NetworkAdapter> adapters;  // those that are up, InfiniBand first
};

/// Returns the devices of this host as `root`/sys and `root`/proc show them, so that no vendor library is needed.
Devices find_devices(const std::filesystem::path& root = "/");

}  // namespace lockstep::cli
