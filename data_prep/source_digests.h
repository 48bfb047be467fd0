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

/// SHA-256 of datasets, each file read once, in pieces that several threads share.
class SourceDigests {
 public:
  explicit SourceDigests(core::WorkerPool& pool);

  /// Begins to hash the files of `datasets` on the pool's threads.
  void add(const std::vector<Dataset>& datasets);

  /// Of the one piece of its one file, or else of the digests of pieces and files; waits for them.
  std::string of(const Dataset& dataset);

 private:
  struct Piece {
    std::filesystem::path file;
    std::uint64_t begin;
  };

  std::map<std::filesystem::path, std::vector<std::string>> of_files_;  // a piece
  core::OrderedPipeline<Piece, std::pair<std::filesystem::path, std::string>> hashing_;
};

}  // namespace lockstep::data_prep
