#include "lockstep/train/checkpoints/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/core/worker_pool.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "lockstep-checkpoint";
constexpr int kFormatVersion = 1;
constexpr std::string_view kNamePrefix = "checkpoint-";
constexpr std::string_view kPartial = "partial", kRemoved = "removed", kSetAside = "replaced";
constexpr std::size_t kReadingThreads = 8;  // more do not make disks faster

std::optional<std::uint64_t> step_of(std::string_view name) {
  if (!name.starts_with(kNamePrefix)) return std::nullopt;
  std::uint64_t step = 0;
  const auto [end, error] = std::from_chars(name.data() + kNamePrefix.size(), name.data() + name.size(), step);
  if (error != std::errc() || name != checkpoint_name(step)) return std::nullopt;
  return step;
}

// Returns whether `name` is like ".checkpoint-000120.partial".
bool is_hidden(std::string_view name, std::string_view suffix) {
  if (!name.starts_with('.') || !name.ends_with(suffix)) return false;
  name.remove_prefix(1);
  name.remove_suffix(suffix.size());
  if (!name.ends_with('.')) return false;
  name.remove_suffix(1);
  return step_of(name).has_value();
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

CheckpointFile parse_file(const Json& json) {
  CheckpointFile file{json.at("name").get<std::string>(), core::json_count(json.at("bytes")),
                      json.at("sha256").get<std::string>()};
  if (!is_plain_name(file.name)) {
    throw InputError(fmt::format("expected names of files in this folder, found {}", json.at("name").dump()));
  }
  return file;
}

std::vector<CheckpointFile> read_manifest(const fs::path& checkpoint) {
  const Json json = core::read_json_file(checkpoint / kCheckpointManifestFile);
  if (!json.is_object() || json.value("format", Json()) != Json(kFormat)) {
    throw InputError(fmt::format("expected \"format\": \"{}\", found another file", kFormat));
  }
  if (const Json version = json.value("format_version", Json()); version != Json(kFormatVersion)) {
    throw InputError(fmt::format("expected format version {}, found {}", kFormatVersion, version.dump()));
  }
  std::vector<CheckpointFile> files;
  for (const Json& file : json.at("files")) files.push_back(parse_file(file));
  if (std::ranges::find(files, kTrainerStateFile, &CheckpointFile::name) == files.end()) {
    throw InputError(fmt::format("expected {} among the files, found none", kTrainerStateFile));
  }
  return files;
}

// Returns what is wrong with a file's existence or size, or an empty string.
std::string find_size_defect(const fs::path& folder, const CheckpointFile& expected) {
  std::error_code error;
  const fs::path path = folder / expected.name;
  if (!fs::is_regular_file(path, error)) return fmt::format("{}: missing", expected.name);
  const std::uint64_t bytes = fs::file_size(path, error);
  if (error) return fmt::format("{}: {}", expected.name, error.message());
  if (bytes == expected.bytes) return "";
  return fmt::format("{}: expected {} bytes, found {}", expected.name, expected.bytes, bytes);
}

std::string find_content_defect(const fs::path& folder, const CheckpointFile& expected) {
  try {
    if (core::sha256_file(folder / expected.name) == expected.sha256) return "";
    return fmt::format("{}: its bytes differ from those that were written (sha256)", expected.name);
  } catch (const Error& error) {
    return fmt::format("{}: {}", expected.name, error.what());
  }
}

std::string first_of(const std::vector<std::string>& flaws) {
  const auto found = std::ranges::find_if(flaws, [](const std::string& flaw) { return !flaw.empty(); });
  return found == flaws.end() ? "" : *found;
}

void move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) core::throw_system_error("rename " + from.string() + " into", to, error.value());
}

}  // namespace

std::string checkpoint_name(std::uint64_t step) { return fmt::format("{}{:06}", kNamePrefix, step); }

std::string optimizer_file_name(int rank, int ranks) {
  return fmt::format("optimizer-{:05}-of-{:05}.safetensors", rank, ranks);
}

bool is_optimizer_file_name(std::string_view name) {
  return name.starts_with("optimizer-") && name.ends_with(".safetensors");
}

CheckpointFile describe_file(const fs::path& folder, const std::string& name) {
  const fs::path path = folder / name;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) core::throw_system_error("open", path, errno);
  const int error_number = ::fsync(descriptor) == 0 ? 0 : errno;
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  if (error_number != 0) core::throw_system_error("sync to disk", path, error_number);
  return {name, fs::file_size(path), core::sha256_file(path)};
}

std::string find_defect(const fs::path& checkpoint) {
  std::error_code ignored;
  if (!fs::exists(checkpoint / kCheckpointManifestFile, ignored)) {
    return fmt::format("{}: missing, so the checkpoint is incomplete", kCheckpointManifestFile);
  }
  std::vector<CheckpointFile> files;
  try {
    files = read_manifest(checkpoint);
  } catch (const std::exception& problem) {  // includes nlohmann's exceptions
    return fmt::format("{}: {}", kCheckpointManifestFile, problem.what());
  }
  std::vector<std::string> flaws;
  for (const CheckpointFile& file : files) flaws.push_back(find_size_defect(checkpoint, file));
  if (std::string flaw = first_of(flaws); !flaw.empty()) return flaw;
  {
    core::WorkerPool pool(std::min(files.size(), kReadingThreads));
    for (std::size_t i = 0; i < files.size(); ++i) {
      pool.submit([&, i] { flaws[i] = find_content_defect(checkpoint, files[i]); });
    }
    while (pool.run_one_task()) {
    }
  }
  return first_of(flaws);
}

CheckpointFolder::CheckpointFolder(fs::path output_dir) : output_dir_(std::move(output_dir)) {}

fs::path CheckpointFolder::path(std::uint64_t step) const { return output_dir_ / checkpoint_name(step); }

fs::path CheckpointFolder::partial_path(std::uint64_t step) const { return hidden_path(step, kPartial); }

fs::path CheckpointFolder::hidden_path(std::uint64_t step, std::string_view suffix) const {
  return output_dir_ / fmt::format(".{}.{}", checkpoint_name(step), suffix);
}

void CheckpointFolder::begin(std::uint64_t step, std::uint64_t expected_bytes) {
  const fs::path partial = partial_path(step);
  std::error_code error;
  fs::remove_all(partial, error);
  if (error) core::throw_system_error("remove the folder", partial, error.value());
  const std::uint64_t available = fs::space(output_dir_, error).available;
  if (!error && available < expected_bytes) {
    throw Error(
        fmt::format("{}: a checkpoint needs {} bytes, the disk has {} left; free some space, keep fewer "
                    "checkpoints (save_total_limit), or write to another disk",
                    path(step).string(), expected_bytes, available));
  }
  fs::create_directories(partial, error);
  if (error) core::throw_system_error("create the folder", partial, error.value());
}

void CheckpointFolder::commit(std::uint64_t step, const std::vector<CheckpointFile>& files) {
  const fs::path partial = partial_path(step), place = path(step);
  Json list = Json::array();
  for (const CheckpointFile& file : files) {
    if (const std::string flaw = find_size_defect(partial, file); !flaw.empty()) {
      throw Error(
          fmt::format("{}: as rank 0 sees it, {}; output_dir must lie on a disk that all nodes share, and no "
                      "other job may write there",
                      partial.string(), flaw));
    }
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  }
  core::write_json_file(partial / kCheckpointManifestFile,
                        {{"format", kFormat}, {"format_version", kFormatVersion}, {"step", step}, {"files", list}});
  core::sync_folder(partial);
  // Exchanging the two names leaves no moment without a checkpoint of this step.
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) != 0) {
    std::error_code error;
    if (fs::exists(place, error)) remove(step);
    move(partial, place);
  }
  core::sync_folder(output_dir_);
  std::error_code ignored;
  fs::remove_all(partial, ignored);  // the checkpoint that was replaced
}

void CheckpointFolder::discard(std::uint64_t step) {
  std::error_code ignored;
  fs::remove_all(partial_path(step), ignored);
}

std::vector<std::uint64_t> CheckpointFolder::steps() const {
  std::vector<std::uint64_t> steps;
  std::error_code error;
  if (!fs::exists(output_dir_, error)) return steps;
  for (const auto& entry : fs::directory_iterator(output_dir_, error)) {
    std::error_code unreadable;
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory(unreadable)) steps.push_back(*step);
  }
  if (error) core::throw_system_error("list the folder", output_dir_, error.value());
  std::ranges::sort(steps);
  return steps;
}

void CheckpointFolder::prune(std::uint64_t newest, std::optional<std::uint64_t> also_kept) {
  std::vector<std::uint64_t> old = steps();
  old.resize(old.size() - std::min<std::size_t>(old.size(), newest));
  for (const std::uint64_t step : old) {
    if (step != also_kept) remove(step);
  }
}

void CheckpointFolder::remove_leftovers() {
  remove_hidden(kPartial);
  remove_hidden(kRemoved);
}

void CheckpointFolder::retire_checkpoints() {
  for (const std::uint64_t step : steps()) rename_to_hidden(step, kSetAside);
}

void CheckpointFolder::retire_checkpoints_after(std::uint64_t step) {
  for (const std::uint64_t other : steps()) {
    if (other > step) rename_to_hidden(other, kSetAside);
  }
}

void CheckpointFolder::remove_retired_checkpoints() { remove_hidden(kSetAside); }

void CheckpointFolder::remove(std::uint64_t step) {
  rename_to_hidden(step, kRemoved);
  std::error_code ignored;  // the next remove_leftovers() tries again
  fs::remove_all(hidden_path(step, kRemoved), ignored);
}

void CheckpointFolder::rename_to_hidden(std::uint64_t step, std::string_view suffix) {
  const fs::path hidden = hidden_path(step, suffix);
  std::error_code error;
  fs::remove_all(hidden, error);
  if (error) core::throw_system_error("remove the folder", hidden, error.value());
  move(path(step), hidden);
}

void CheckpointFolder::remove_hidden(std::string_view suffix) {
  std::vector<fs::path> hidden;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir_, error)) {
    if (is_hidden(entry.path().filename().string(), suffix)) hidden.push_back(entry.path());
  }
  for (const fs::path& folder : hidden) fs::remove_all(folder, error);
}

}  // namespace lockstep::train
