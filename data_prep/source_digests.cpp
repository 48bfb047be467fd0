#include "data_prep/source_digests.h"

#include <limits>
#include <system_error>

#include "lockstep/core/digest.h"

namespace lockstep::data_prep {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kPieceBytes = 8 << 20;  // small enough that all threads finish at about the same time

std::string combine(const std::vector<std::string>& digests) {
  if (digests.size() == 1) return digests.front();
  core::Sha256 all;
  for (const auto& digest : digests) all.update(digest);
  return all.hex_digest();
}

}  // namespace

SourceDigests::SourceDigests(core::WorkerPool& pool)
    : hashing_(
          pool, std::numeric_limits<std::size_t>::max(),
          [](const Piece& piece) {
            return std::pair(piece.file, core::sha256_of_range(piece.file, piece.begin, kPieceBytes));
          },
          [this](auto hashed) { of_files_[hashed.first].push_back(std::move(hashed.second)); }) {}

void SourceDigests::add(const std::vector<Dataset>& datasets) {
  for (const auto& dataset : datasets) {
    for (const auto& file : dataset.files()) {
      if (!of_files_.try_emplace(file).second) continue;
      std::error_code unreadable;  // reported by the hashing
      const std::uint64_t bytes = fs::file_size(file, unreadable);
      for (std::uint64_t begin = 0; begin == 0 || (!unreadable && begin < bytes); begin += kPieceBytes) {
        hashing_.push({file, begin});
      }
    }
  }
}

std::string SourceDigests::of(const Dataset& dataset) {
  hashing_.finish();
  std::vector<std::string> digests;
  for (const auto& file : dataset.files()) digests.push_back(combine(of_files_.at(file)));
  return combine(digests);
}

}  // namespace lockstep::data_prep
