#include "fuzz_input.h"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace lockstep::fuzz {

namespace fs = std::filesystem;

std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

std::vector<std::string_view> split_at_nul(std::string_view text, std::size_t count) {
  std::vector<std::string_view> parts;
  while (parts.size() + 1 < count) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  parts.push_back(text);
  return parts;
}

InputFolder::InputFolder() {
  const fs::path memory = "/dev/shm";
  path_ = (fs::is_directory(memory) ? memory : fs::temp_directory_path()) / fmt::format("lockstep-fuzz-{}", ::getpid());
  fs::create_directories(path_);
}

InputFolder::~InputFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path InputFolder::write(const char* name, std::string_view bytes) const {
  const fs::path path = path_ / name;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  require(!file.fail(), "the input could be written");
  return path;
}

void InputFolder::remove(const char* name) const { fs::remove(path_ / name); }

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: what must hold does not: %s\n", what);
  std::abort();
}

}  // namespace lockstep::fuzz
