#include "comm/mpi/launcher_daemon.h"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <string>
#include <string_view>

namespace lockstep::comm {
namespace {

constexpr useconds_t kLook_us = 50'000;

bool is_of_open_mpi(pid_t process) {
  constexpr std::array<std::string_view, 4> kNames = {"mpirun", "mpiexec", "orterun", "orted"};
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  return std::getline(file, name) && std::ranges::find(kNames, name) != kNames.end();
}

bool is_gone_within(pid_t process, unsigned seconds) {
  for (unsigned look = 0; look < seconds * 1'000'000 / kLook_us; ++look) {
    if (::kill(process, 0) != 0) return true;
    ::usleep(kLook_us);
  }
  return false;
}

}  // namespace

void end_launcher_daemon_after(unsigned seconds) {
  const pid_t daemon = ::getppid();
  // Forks, because mpirun kills its ranks first. Other threads may hold locks, so the child makes only system calls.
  if (!is_of_open_mpi(daemon) || ::fork() != 0) return;
  ::setsid();
  // The daemon also waits until its ranks' output streams are closed.
  constexpr int kDescriptors = 4096;
  for (int descriptor = 0; descriptor < kDescriptors; ++descriptor) ::close(descriptor);
  if (!is_gone_within(daemon, seconds)) ::kill(daemon, SIGKILL);
  ::_exit(0);
}

}  // namespace lockstep::comm
