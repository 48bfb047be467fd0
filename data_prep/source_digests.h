#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/ordered_pipeline.h"
#include "lockstep/core/worker_pool.h"
#include "lockstep/data/dataset.h"

namespace lockstep::data_prep {

/// Computes the SHA-256 of datasets. Each file is read once, in pieces that several threads share.
class SourceDigests {
 public:
  explicit SourceDigests(core::WorkerPool& pool);

  /// Starts hashing the files of `datasets` on the pool's threads.
  void add(const std::vector<Dataset>& datasets);

  /// Waits for the hashing and returns the dataset's digest. A file of several pieces has the digest of its pieces'
  /// digests, and a dataset of several files that of its files' digests.
  std::string of(const Dataset& dataset);

 private:
  struct Piece {
    std::filesystem::path file;
    std::uint64_t begin;
  };

  std::map<std::filesystem::path, std::vector<std::string>> of_files_;  // one per piece of the file
  core::OrderedPipeline<Piece, std::pair<std::filesystem::path, std::string>> hashing_;
};

}  // namespace lockstep::data_prep
