#include "lockstep/core/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

void create_parent_folder(const std::filesystem::path& path) {
  if (!path.has_parent_path()) return;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) throw_system_error("create the folder", path.parent_path(), error.value());
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_path_(fmt::format("{}.{}.partial", path_.string(), ::getpid())) {
  if (std::filesystem::is_directory(path_)) {
    throw InputError(fmt::format("{}: expected a file to write, found a folder; give a file's name", path_.string()));
  }
  create_parent_folder(path_);
  descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_system_error("create", path_, errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      throw_system_error("write", path_, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) throw_system_error("sync to disk", path_, errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) throw_system_error("rename into place", path_, errno);
  ::close(std::exchange(descriptor_, -1));
  sync_folder(path_.has_parent_path() ? path_.parent_path() : ".");
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void remove_file(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) throw_system_error("remove", path, error.value());
}

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

std::string read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw_system_error("open", path, errno);
  std::ostringstream text;
  text << stream.rdbuf();
  if (std::filesystem::is_directory(path)) throw_system_error("read", path, EISDIR);
  return std::move(text).str();
}

}  // namespace lockstep::core
