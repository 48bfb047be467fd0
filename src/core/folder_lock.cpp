#include "lockstep/core/folder_lock.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>
#include <optional>
#include <utility>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/core/launch_environment.h"

namespace lockstep::core {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kRecordSize = 500;

// What the file says of its holder.
struct Holder {
  std::string host = {}, since = {};
  std::string job = {}, start = {};  // of Slurm: its job and the count of restarts; empty without it
  std::int64_t process = 0;
  std::uint64_t beats = 0;
};

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

Holder this_process() {
  const LaunchEnvironment environment;
  return {.host = host_name(),
          .job = environment.text("SLURM_JOB_ID"),
          .start = environment.text("SLURM_RESTART_COUNT"),
          .process = getpid()};
}

// Returns nothing for a file that is empty or not of this form, as a process that died at once leaves it.
std::optional<Holder> read_holder(const fs::path& path) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const std::exception&) {
    return std::nullopt;  // released in the meantime
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto text_of = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number_of = [&](const char* key) -> std::uint64_t {
    const auto found = json.find(key);
    return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  };
  return Holder{.host = text_of("host"),
                .since = text_of("since"),
                .job = text_of("job"),
                .start = text_of("start"),
                .process = static_cast<std::int64_t>(number_of("process")),
                .beats = number_of("beats")};
}

bool is_earlier_start(const Holder& holder, const Holder& self) {
  return !self.job.empty() && holder.job == self.job && holder.start != self.start;
}

[[noreturn]] void refuse(const fs::path& path, const std::optional<Holder>& holder) {
  throw InputError(
      fmt::format("{}: expected a folder that no other run writes to, found one held by {}; give another folder, or "
                  "wait until that "
                  "run has ended",
                  path.parent_path().string(),
                  holder ? fmt::format("process {} on host {} since {}{}", holder->process, holder->host, holder->since,
                                       holder->job.empty() ? "" : " (job " + holder->job + ")")
                         : "another process"));
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder, const Timing& timing, const std::string& file_name)
    : path_(fs::absolute(folder) / file_name),
      since_(fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::localtime(std::time(nullptr)))) {
  try {
    open_locked(timing);
    wait_for_holder(timing);
    write_record();
  } catch (...) {
    if (descriptor_ >= 0) close(descriptor_);
    throw;
  }
  heart_ = std::thread([this, timing] { beat(timing); });
}

FolderLock::~FolderLock() {
  {
    const std::lock_guard guard(mutex_);
    is_stopping_ = true;
  }
  stopped_.notify_all();
  heart_.join();
  unlink(path_.c_str());  // while it is locked: whoever opened it before finds that it is not the file of this name
  close(descriptor_);
}

void FolderLock::open_locked(const Timing& timing) {
  const auto deadline = Clock::now() + timing.patience;
  while (true) {
    descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) throw_system_error("open the lock file", path_, errno);
    has_kernel_lock_ = flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
    const bool is_held = !has_kernel_lock_ && errno == EWOULDBLOCK;
    struct stat opened = {}, named = {};
    const bool is_current = fstat(descriptor_, &opened) == 0 && stat(path_.c_str(), &named) == 0 &&
                            opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
    if (is_held) {
      const auto holder = read_holder(path_);
      if (!holder || !is_earlier_start(*holder, this_process()) || Clock::now() > deadline) refuse(path_, holder);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    } else if (is_current) {
      break;
    }
    close(std::exchange(descriptor_, -1));
  }
  if (!has_kernel_lock_) {
    spdlog::warn("{}: this file system has no locks; another run in this folder is noticed only by its lock file",
                 path_.parent_path().string());
  }
}

// The kernel's lock is ours, or there is none. A holder that the file still names is dead, or on a host whose kernel
// locks are not seen here.
void FolderLock::wait_for_holder(const Timing& timing) {
  const auto holder = read_holder(path_);
  const Holder self = this_process();
  if (!holder || is_earlier_start(*holder, self)) return;
  if (holder->host == self.host) {
    if (has_kernel_lock_ || kill(static_cast<pid_t>(holder->process), 0) != 0) return;
    refuse(path_, holder);
  }
  spdlog::info("{}: held by process {} on host {} since {}; waiting up to {} s to see whether it is alive",
               path_.parent_path().string(), holder->process, holder->host, holder->since,
               std::chrono::duration_cast<std::chrono::seconds>(timing.patience).count());
  for (const auto end = Clock::now() + timing.patience; Clock::now() < end;) {
    std::this_thread::sleep_for(timing.heartbeat / 10);
    if (!fs::exists(path_)) return;  // it has just released the folder
    const auto now = read_holder(path_);
    if (now && now->beats != holder->beats) refuse(path_, now);
  }
}

void FolderLock::write_record() {
  const Holder self = this_process();
  const Json record = {{"host", self.host},   {"process", static_cast<std::uint64_t>(self.process)},
                       {"since", since_},     {"job", self.job},
                       {"start", self.start}, {"beats", beats_}};
  // Padded, so that a longer number changes nothing of the size, and a reader never finds half a record.
  const std::string line = fmt::format("{:<{}}\n", record.dump(), kRecordSize);
  if (pwrite(descriptor_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw_system_error("write the lock file", path_, errno);
  }
  fdatasync(descriptor_);  // so that other hosts see it
}

void FolderLock::beat(const Timing& timing) {
  std::unique_lock guard(mutex_);
  while (!stopped_.wait_for(guard, timing.heartbeat, [this] { return is_stopping_; })) {
    ++beats_;
    try {
      write_record();
    } catch (const Error&) {  // a full disk: the kernel's lock still holds
    }
  }
}

}  // namespace lockstep::core
