#include "lockstep/core/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <cerrno>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct Sha256::Context {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> handle{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->handle.get(), EVP_sha256(), nullptr) != 1) {
    throw Error("OpenSSL offers no SHA-256");
  }
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) { EVP_DigestUpdate(context_->handle.get(), bytes.data(), bytes.size()); }

Sha256::Bytes Sha256::take() {
  Bytes digest{};
  EVP_DigestFinal_ex(context_->handle.get(), digest.data(), nullptr);
  EVP_DigestInit_ex(context_->handle.get(), nullptr, nullptr);  // the algorithm again: no look-up, no allocation
  return digest;
}

std::string Sha256::hex_digest() { return fmt::format("{:02x}", fmt::join(take(), "")); }

std::string sha256(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.hex_digest();
}

std::string sha256_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("open", path, errno);
  Sha256 digest;
  std::vector<char> buffer(1 << 20);
  ssize_t count = 0;
  while ((count = ::read(descriptor, buffer.data(), buffer.size())) > 0) {
    digest.update({buffer.data(), static_cast<std::size_t>(count)});
  }
  const int error_number = errno;
  ::close(descriptor);
  if (count < 0) throw_system_error("read", path, error_number);
  return digest.hex_digest();
}

}  // namespace lockstep
