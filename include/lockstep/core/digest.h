#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace lockstep::core {

/// Computes SHA-256 incrementally.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  using Bytes = std::array<unsigned char, 32>;

  void update(std::string_view bytes);
  /// Returns the digest of all bytes since construction or the last call, and resets the state.
  Bytes digest();
  /// Returns digest() as 64 lower-case hexadecimal digits.
  std::string hex_digest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256(std::string_view bytes);
/// Returns the SHA-256 of a file in hexadecimal. Throws InputError if the file is missing or may not be read.
std::string sha256_file(const std::filesystem::path& path);
/// Returns the SHA-256 of the range [begin, begin + bytes) of a file, cut off at the end of the file. Throws as
/// sha256_file() does.
std::string sha256_of_range(const std::filesystem::path& path, std::uint64_t begin, std::uint64_t bytes);
/// Returns the id that git gives to a file's content: the SHA-1 of "blob SIZE\0" followed by the bytes, as 40
/// lower-case hexadecimal digits. Throws InputError if the file is missing or may not be read.
std::string git_blob_id(const std::filesystem::path& path);

}  // namespace lockstep::core
