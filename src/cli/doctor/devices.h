#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep::cli {

struct NetworkAdapter {
  std::string name = {};  // "eth0", "mlx5_0"
  std::string rate = {};  // as the kernel tells it; empty: it does not
  bool is_infiniband = false;
  int numa_node = -1;  // -1: unknown
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NetworkAdapter, name, rate, is_infiniband, numa_node)

struct Gpu {
  std::string address = {};  // on the PCI bus
  std::string model = {};    // empty: NVIDIA's driver is not loaded
  int numa_node = -1;
  std::string nearest_adapter = {};  // that shares most of its way through the PCI bus; empty: none shares any
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Gpu, address, model, numa_node, nearest_adapter)

struct Devices {
  std::vector<Gpu> gpus;                 // NVIDIA's
  std::vector<NetworkAdapter> adapters;  // those that are up; InfiniBand's first
};

/// Of this host, as `root`/sys and `root`/proc show them; needs no library of theirs.
Devices find_devices(const std::filesystem::path& root = "/");

}  // namespace lockstep::cli
