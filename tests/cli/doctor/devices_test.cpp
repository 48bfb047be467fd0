#include "cli/doctor/devices.h"

#include <gmock/gmock.h>
#include <fstream>

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

// A host's /sys and /proc, with what the test writes.
class Host {
 public:
  Host() {
    std::string pattern = (fs::temp_directory_path() / "lockstep-host-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
  }
  ~Host() { fs::remove_all(root_); }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const fs::path& root() const { return root_; }
  void write(const fs::path& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << "\n";
  }
  // Adds a PCI device, linked by its address as the kernel does.
  void add_pci(const fs::path& place, const std::string& vendor, const std::string& type, int numa_node) const {
    const fs::path folder = fs::path("sys/devices") / place;
    write(folder / "vendor", vendor);
    write(folder / "class", type);
    write(folder / "numa_node", std::to_string(numa_node));
    link(folder, fs::path("sys/bus/pci/devices") / place.filename());
  }
  void link(const fs::path& to, const fs::path& from) const {
    fs::create_directories((root_ / from).parent_path());
    fs::create_directory_symlink(root_ / to, root_ / from);
  }

 private:
  fs::path root_;
};

TEST(DoctorDevices, NoneOnAHostWithoutAny) {
  const Host host;
  const Devices found = find_devices(host.root());
  EXPECT_TRUE(found.gpus.empty());
  EXPECT_TRUE(found.adapters.empty());
}

TEST(DoctorDevices, AdaptersThatAreUp) {
  const Host host;
  for (const auto& [name, state] : {std::pair{"lo", "up"}, {"eth0", "up"}, {"eth1", "down"}, {"veth", "up"}}) {
    host.write(fs::path("sys/class/net") / name / "operstate", state);
  }
  host.write("sys/class/net/eth0/speed", "25000");
  host.write("sys/class/net/veth/speed", "-1");
  for (const auto& [name, state] : {std::pair{"mlx5_0", "4: ACTIVE"}, {"mlx5_1", "1: DOWN"}}) {
    const fs::path port = fs::path("sys/class/infiniband") / name / "ports/1";
    host.write(port / "state", state);
    host.write(port / "rate", "400 Gb/sec (4X NDR)");
    host.write(port / "link_layer", "InfiniBand");
  }
  const auto adapters = find_devices(host.root()).adapters;
  ASSERT_EQ(adapters.size(), 3U);
  EXPECT_EQ(adapters[0].name, "mlx5_0");
  EXPECT_TRUE(adapters[0].is_infiniband);
  EXPECT_EQ(adapters[0].rate, "400 Gb/sec (4X NDR) InfiniBand");
  EXPECT_EQ(adapters[1].name, "eth0");
  EXPECT_EQ(adapters[1].rate, "25000 Mb/s");
  EXPECT_FALSE(adapters[1].is_infiniband);
  EXPECT_EQ(adapters[2].name, "veth");
  EXPECT_EQ(adapters[2].rate, "");
}

TEST(DoctorDevices, EachGpuHasItsNearestAdapter) {
  const Host host;
  host.add_pci("pci0000:00/0000:00:01.0/0000:01:00.0", "0x10de", "0x030200", 0);
  host.add_pci("pci0000:00/0000:00:02.0/0000:02:00.0", "0x15b3", "0x020700", 0);
  host.add_pci("pci0000:80/0000:80:01.0/0000:81:00.0", "0x10de", "0x030200", 1);
  host.add_pci("pci0000:80/0000:80:01.0/0000:82:00.0", "0x15b3", "0x020700", 1);
  host.add_pci("pci0000:80/0000:80:03.0/0000:83:00.0", "0x15b3", "0x020700", 1);
  host.add_pci("pci0000:c0/0000:c0:01.0/0000:c1:00.0", "0x10de", "0x030200", -1);
  host.add_pci("pci0000:c0/0000:c0:01.0/0000:c1:00.1", "0x10de", "0x040300", -1);  // the audio function of a GPU
  for (const auto& [name, place] : {std::pair{"mlx5_0", "pci0000:00/0000:00:02.0/0000:02:00.0"},
                                    {"mlx5_1", "pci0000:80/0000:80:03.0/0000:83:00.0"},
                                    {"mlx5_2", "pci0000:80/0000:80:01.0/0000:82:00.0"}}) {
    host.write(fs::path("sys/class/infiniband") / name / "ports/1/state", "4: ACTIVE");
    host.link(fs::path("sys/devices") / place, fs::path("sys/class/infiniband") / name / "device");
  }
  host.write("proc/driver/nvidia/gpus/0000:81:00.0/information", "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 7");
  const auto gpus = find_devices(host.root()).gpus;
  ASSERT_EQ(gpus.size(), 3U);
  EXPECT_EQ(gpus[0].address, "0000:01:00.0");
  EXPECT_EQ(gpus[0].model, "");
  EXPECT_EQ(gpus[0].nearest_adapter, "mlx5_0");
  EXPECT_EQ(gpus[0].numa_node, 0);
  EXPECT_EQ(gpus[1].model, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(gpus[1].nearest_adapter, "mlx5_2");
  EXPECT_EQ(gpus[1].numa_node, 1);
  EXPECT_EQ(gpus[2].nearest_adapter, "");
}

}  // namespace
}  // namespace lockstep::cli
