#pragma once

#include <unistd.h>
#include <filesystem>
#include <initializer_list>
#include <string>

#include "lockstep/core/atomic_file.h"

namespace lockstep::test {

/// A temporary cache with files of one commit of org/name, removed at the end of the test.
class CachedFiles {
 public:
  CachedFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lockstep-hub-XXXXXX").string();
    cache_ = ::mkdtemp(pattern.data());
  }
  ~CachedFiles() { std::filesystem::remove_all(cache_); }
  CachedFiles(const CachedFiles&) = delete;
  CachedFiles& operator=(const CachedFiles&) = delete;

  const std::filesystem::path& cache() const { return cache_; }
  std::filesystem::path folder() const { return cache_ / "models--org--name"; }
  std::filesystem::path snapshot() const { return folder() / "snapshots" / kCommit; }

  void add(std::initializer_list<const char*> files, const std::string& bytes = "{}") const {
    for (const char* file : files) core::write_file(snapshot() / file, bytes);
  }
  void note_absent(std::initializer_list<const char*> files) const {
    for (const char* file : files) core::write_file(folder() / ".no_exist" / kCommit / file, "");
  }
  void write(const std::string& path, const std::string& bytes) const { core::write_file(folder() / path, bytes); }

  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

 private:
  std::filesystem::path cache_;
};

}  // namespace lockstep::test
