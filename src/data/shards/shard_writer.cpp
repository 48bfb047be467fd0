#include "lockstep/data/shards/shard_writer.h"

#include <fmt/format.h>
#include <algorithm>
#include <deque>
#include <future>
#include <set>
#include <utility>

#include "data/shards/shard_buffer.h"
#include "lockstep/core/error.h"
#include "lockstep/core/ordered_pipeline.h"
#include "lockstep/data/shards/shard_reader.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

// Two processes may do this at the same time: each accepts that the other has already renamed a shard.
void give_names(const fs::path& folder, const Manifest& manifest) {
  for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
    const fs::path path = folder / manifest.shards[i].name;
    std::error_code error;
    fs::rename(ShardPart::shard_path(folder, i), path, error);
    std::error_code ignored;
    if (error && !fs::exists(path, ignored)) core::throw_system_error("rename a shard into", path, error.value());
  }
}

// Removes the records of finished shards and the temporary files of killed processes.
void remove_all_but(const fs::path& folder, const Manifest& manifest) {
  std::set<std::string> kept{Manifest::kFileName};
  for (const auto& shard : manifest.shards) kept.insert(shard.name);
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!kept.contains(entry.path().filename().string())) fs::remove(entry.path(), ignored);
  }
}

// Lets the workers continue while the disk stalls for a moment.
constexpr std::size_t kWritesInFlight = 3;

}  // namespace

// Brings filled shards to disk. A pool thread composes the bytes, which is CPU work; a separate thread, which mostly
// waits, writes them.
class ShardWriter::Output {
 public:
  struct Filled {
    std::uint64_t shard;
    std::unique_ptr<ShardBuffer> buffer;
    TokenizationReport report;
  };

  Output(core::WorkerPool& pool, const fs::path& folder, int compression, std::vector<std::optional<ShardPart>>& parts)
      : parts_(parts),
        composing_(
            pool, 2,
            [folder, compression](Filled filled) {
              std::string image = filled.buffer->compose(ShardPart::shard_path(folder, filled.shard).string(),
                                                         filled.report, compression);
              return Writing{filled.shard,
                             std::async(std::launch::async, [folder, shard = filled.shard, image = std::move(image),
                                                             report = std::move(filled.report)] {
                               return ShardPart::write(folder, shard, image, report);
                             })};
            },
            [this](Writing writing) {
              writing_.push_back(std::move(writing));
              if (writing_.size() > kWritesInFlight) finish_first();
            }) {}
  ~Output() {
    try {
      finish();
    } catch (...) {  // the writer is being destroyed because of an error that was already thrown
    }
  }

  void push(Filled filled) { composing_.push(std::move(filled)); }
  void finish() {
    composing_.finish();
    while (!writing_.empty()) finish_first();
  }

 private:
  struct Writing {
    std::uint64_t shard = 0;
    std::future<ShardPart> part;
  };

  void finish_first() {
    Writing first = std::move(writing_.front());
    writing_.pop_front();
    parts_[first.shard] = first.part.get();
  }

  std::vector<std::optional<ShardPart>>& parts_;
  std::deque<Writing> writing_;
  core::OrderedPipeline<Filled, Writing> composing_;
};

ShardWriter::ShardWriter(fs::path folder, Manifest description, core::WorkerPool& pool, ShardOptions options)
    : folder_(std::move(folder)),
      manifest_(std::move(description)),
      options_(options),
      output_(std::make_unique<Output>(pool, folder_, options_.compression, parts_)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) core::throw_system_error("create the folder", folder_, error.value());
}

ShardWriter::~ShardWriter() = default;

bool ShardWriter::wants(std::uint64_t shard) {
  while (parts_.size() <= shard) {
    const std::uint64_t number = parts_.size();
    parts_.emplace_back();
    if (!options_.share.owns(number)) {
      wanted_ = false;
      continue;
    }
    parts_.back() = ShardPart::find(folder_, number);
    wanted_ = !parts_.back();
    if (!wanted_) ++shards_found_;
  }
  return wanted_;
}

void ShardWriter::add(std::uint64_t shard, TokenizedRow row) {
  if (buffer_ && shard != shard_) write_shard();
  if (!buffer_) {
    buffer_ = std::make_unique<ShardBuffer>(manifest_);
    shard_ = shard;
  }
  report_.add(row);
  if (row.dropped == nullptr) buffer_->add(row.result.example);
}

void ShardWriter::write_shard() { output_->push({shard_, std::move(buffer_), std::exchange(report_, {})}); }

void ShardWriter::flush() {
  if (buffer_) write_shard();
  output_->finish();
}

std::uint64_t ShardWriter::find_missing() {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (!parts_[i]) parts_[i] = ShardPart::find(folder_, i);
  }
  return static_cast<std::uint64_t>(std::ranges::count_if(parts_, [](const auto& part) { return !part; }));
}

TokenizationReport ShardWriter::report(RowsRead read) const {
  TokenizationReport report;
  for (const auto& part : parts_) report.merge(part.value().report);
  report.read = std::move(read);
  return report;
}

Manifest ShardWriter::finish(const TokenizationReport& report) {
  manifest_.shards.clear();
  manifest_.report = report;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    ShardEntry entry = parts_[i].value().entry;
    entry.name = fmt::format("shard-{:05}-of-{:05}.h5", i, parts_.size());
    manifest_.shards.push_back(std::move(entry));
  }
  const auto& rows = report.read.dataset_rows;
  for (std::size_t i = 0; i < manifest_.sources.size() && i < rows.size(); ++i) manifest_.sources[i].rows = rows[i];
  // The manifest is written before the shards are renamed, so that finish_interrupted() can complete the renaming if
  // this run is killed.
  core::write_json_file(folder_ / Manifest::kFileName, manifest_.to_json());
  give_names(folder_, manifest_);
  remove_all_but(folder_, manifest_);
  return manifest_;
}

std::optional<Manifest> ShardWriter::finish_interrupted(const fs::path& folder, const Manifest& description) {
  std::error_code error;
  if (!fs::exists(folder / Manifest::kFileName, error)) return std::nullopt;
  try {
    const Manifest manifest = Manifest::load(folder);
    if (!description.difference(manifest).empty()) return std::nullopt;
    give_names(folder, manifest);
    PreparedDataset::open(folder, VerifyShards::kYes);
    remove_all_but(folder, manifest);
    return manifest;
  } catch (const Error&) {  // damaged by something other than a killed run
    return std::nullopt;
  }
}

}  // namespace lockstep::data
