#include "lockstep/data/row_hash.h"

#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

namespace lockstep::data {
namespace {

constexpr std::size_t kFirstSlots = 1024;

// Big-endian, so that the hash equals the digest's first hexadecimal digits on any machine.
std::uint64_t integer(const unsigned char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

RowHash RowHasher::operator()(const Row& row) {
  std::array<char, 8> length;
  for (std::size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<char>(row.model_input.size() >> (8 * i) & 0xFF);
  digest_.update(std::string_view(length.data(), length.size()));
  digest_.update(row.model_input);
  digest_.update(row.model_output);
  const core::Sha256::Bytes bytes = digest_.digest();
  return {integer(bytes.data()), integer(bytes.data() + 8)};
}

bool is_held_out(const RowHash& hash, double share) {
  return std::ldexp(static_cast<double>(hash.high >> 11), -53) < share;
}

RowHashSet::RowHashSet() : slots_(kFirstSlots) {}

bool RowHashSet::insert(const RowHash& hash) {
  if (hash == RowHash{}) return !std::exchange(has_zero_, true);
  if (4 * (size_ + 1) > 3 * slots_.size()) grow();
  if (!place(hash)) return false;
  ++size_;
  return true;
}

bool RowHashSet::place(const RowHash& hash) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash.low & mask;
  for (; slots_[slot] != RowHash{}; slot = (slot + 1) & mask) {
    if (slots_[slot] == hash) return false;
  }
  slots_[slot] = hash;
  return true;
}

void RowHashSet::grow() {
  const std::vector<RowHash> before = std::exchange(slots_, std::vector<RowHash>(2 * slots_.size()));
  for (const RowHash& hash : before) {
    if (hash != RowHash{}) place(hash);
  }
}

}  // namespace lockstep::data
