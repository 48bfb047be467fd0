#include "lockstep/core/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep::core {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextHandle = std::unique_ptr<EVP_MD_CTX, FreeContext>;

ContextHandle begin_digest(const EVP_MD* algorithm, const char* name) {
  ContextHandle handle(EVP_MD_CTX_new());
  if (EVP_DigestInit_ex(handle.get(), algorithm, nullptr) != 1)
    throw Error(fmt::format("OpenSSL does not provide {}", name));
  return handle;
}

constexpr std::uint64_t kWholeFile = std::numeric_limits<std::uint64_t>::max();

// Calls `visit` on the blocks of the range [begin, begin + bytes) of a file, cut off at the end of the file.
template <class Visit>
void read_in_blocks(const std::filesystem::path& path, std::uint64_t begin, std::uint64_t bytes, const Visit& visit) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("open", path, errno);
  std::vector<char> buffer(1 << 20);
  ssize_t count = 0;
  while (bytes > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, buffer.size()));
    count = ::pread(descriptor, buffer.data(), wanted, static_cast<off_t>(begin));
    if (count <= 0) break;
    visit(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    begin += static_cast<std::uint64_t>(count);
    bytes -= static_cast<std::uint64_t>(count);
  }
  const int error_number = errno;
  ::close(descriptor);
  if (count < 0) throw_system_error("read", path, error_number);
}

}  // namespace

struct Sha256::Context {
  ContextHandle handle = begin_digest(EVP_sha256(), "SHA-256");
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) { EVP_DigestUpdate(context_->handle.get(), bytes.data(), bytes.size()); }

Sha256::Bytes Sha256::digest() {
  Bytes digest{};
  EVP_DigestFinal_ex(context_->handle.get(), digest.data(), nullptr);
  EVP_DigestInit_ex(context_->handle.get(), nullptr, nullptr);  // keeps the algorithm, and so allocates nothing
  return digest;
}

std::string Sha256::hex_digest() { return fmt::format("{:02x}", fmt::join(digest(), "")); }

std::string sha256(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex_digest();
}

std::string sha256_file(const std::filesystem::path& path) { return sha256_of_range(path, 0, kWholeFile); }

std::string sha256_of_range(const std::filesystem::path& path, std::uint64_t begin, std::uint64_t bytes) {
  Sha256 digest;
  read_in_blocks(path, begin, bytes, [&](std::string_view block) { digest.update(block); });
  return digest.hex_digest();
}

std::string git_blob_id(const std::filesystem::path& path) {
  const ContextHandle context = begin_digest(EVP_sha1(), "SHA-1");
  std::error_code unreadable;  // is reported by read_in_blocks()
  const std::string header = fmt::format("blob {}", std::filesystem::file_size(path, unreadable));
  EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1);
  read_in_blocks(path, 0, kWholeFile,
                 [&](std::string_view block) { EVP_DigestUpdate(context.get(), block.data(), block.size()); });
  std::array<unsigned char, 20> digest{};
  EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

}  // namespace lockstep::core
