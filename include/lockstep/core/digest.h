#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace lockstep::core {

/// SHA-256 computed piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  using Bytes = std::array<unsigned char, 32>;

  void update(std::string_view bytes);
  /// The digest of all bytes since the beginning or the last digest taken; the next begins anew.
  Bytes take();
  /// The same in 64 lower-case hexadecimal digits.
  std::string hex_digest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256(std::string_view bytes);
/// Throws InputError if the file cannot be read.
std::string sha256_file(const std::filesystem::path& path);
/// Of `bytes` of the file from byte `begin` on, or of those that it has.
std::string sha256_of_piece(const std::filesystem::path& path, std::uint64_t begin, std::uint64_t bytes);
/// The name that git gives to a file's content: SHA-1 over "blob SIZE\0" and the bytes, in 40 lower-case hexadecimal
/// digits. Throws InputError if the file cannot be read.
std::string git_blob_id(const std::filesystem::path& path);

}  // namespace lockstep::core
