#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace lockstep::fuzz {

/// Returns libFuzzer's input as text.
std::string_view as_text(const std::uint8_t* data, std::size_t size);

/// Splits `text` at its first NULs into exactly `count` parts; missing parts at the end are empty.
std::vector<std::string_view> split_at_nul(std::string_view text, std::size_t count);

/// A folder for this process, in memory (/dev/shm) if possible, for code that reads files.
class InputFolder {
 public:
  InputFolder();
  ~InputFolder();
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const char* name, std::string_view bytes) const;
  void remove(const char* name) const;

 private:
  std::filesystem::path path_;
};

/// Aborts, which libFuzzer reports as a crash, unless `holds`.
void require(bool holds, const char* what);

}  // namespace lockstep::fuzz
