#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace lockstep::fuzz {

/// What libFuzzer gives, as text.
std::string_view as_text(const std::uint8_t* data, std::size_t size);

/// `text` cut at its first NULs into exactly `count` parts, of which the last ones may be empty.
std::vector<std::string_view> split_at_nul(std::string_view text, std::size_t count);

/// A folder of this process in memory (/dev/shm), for code that reads files.
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

/// Ends the process, which libFuzzer takes for a crash, unless `holds`.
void require(bool holds, const char* what);

}  // namespace lockstep::fuzz
