#include "lockstep/train/checkpoints/checkpoint_writer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <utility>

#include "lockstep/core/error.h"
#include "lockstep/models/weights/safetensors.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;

// Training computes on all cores; the writing threads only use what it leaves.
void lower_priority() { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19); }

// Runs `work` on a thread of its own. The future holds its result, or `on_error`'s result for its exception.
template <class Work, class OnError>
std::future<std::string> in_background(bool is_urgent, Work work, OnError on_error) {
  return std::async(std::launch::async, [is_urgent, work = std::move(work), on_error = std::move(on_error)] {
    if (!is_urgent) lower_priority();
    try {
      return work();
    } catch (const std::exception& error) {
      return on_error(std::string(error.what()));
    }
  });
}

bool is_ready(const std::future<std::string>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

std::string to_text(const std::vector<CheckpointFile>& files) {
  Json list = Json::array();
  for (const auto& file : files) list.push_back(Json::array({file.name, file.bytes, file.sha256}));
  return Json{{"files", std::move(list)}}.dump();
}

std::string error_to_text(const std::string& message) {
  return Json{{"error", message}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::uint64_t checkpoint_bytes(const sharding::ParameterLayout& layout, const Optimizer& optimizer) {
  constexpr std::uint64_t kOtherFiles = 16 << 20;  // mostly the tokenizer
  std::int64_t elements = 0;
  for (const auto& bucket : layout.buckets()) elements += bucket.size;
  for (const auto& [name, size] : optimizer.state_sizes()) elements += size;
  return sizeof(float) * static_cast<std::uint64_t>(elements) + kOtherFiles;
}

}  // namespace

CheckpointWriter::CheckpointWriter(TrainedModel model, CheckpointOptions options,
                                   std::shared_ptr<Communicator> communicator)
    : model_(std::move(model)),
      options_(std::move(options)),
      communicator_(std::move(communicator)),
      folder_(options_.output_dir) {}

CheckpointWriter::~CheckpointWriter() = default;  // futures of std::async wait

void CheckpointWriter::begin(const LoopState& state, const sharding::ParameterLayout& layout,
                             const sharding::Ownership& ownership, sharding::FlatParameters& parameters,
                             const Optimizer& optimizer, bool is_urgent) {
  if (is_in_flight_) collect();
  wait_for_commit();
  start_ = Clock::now();
  state_ = state;
  problem_ =
      comm::broadcast_text(*communicator_, begin_folder(state.position.step, checkpoint_bytes(layout, optimizer)));
  if (!problem_.empty()) return report(problem_);
  copy_.take(layout, parameters, optimizer, communicator_->is_root(), writes_moments(ownership));
  const int moments_files = ownership.is_sharded ? communicator_->world_size() : 1;
  TrainerState described = communicator_->is_root() ? options_.describe(state) : TrainerState{.loop = state};
  is_urgent_ = is_urgent;
  part_ = in_background(
      is_urgent,
      [this, described = std::move(described), moments_files] { return write_part(described, moments_files); },
      [who = comm::describe_rank(*communicator_)](const std::string& message) {
        return error_to_text(fmt::format("{}: {}", who, message));
      });
  is_in_flight_ = true;
}

std::string CheckpointWriter::begin_folder(std::uint64_t step, std::uint64_t bytes) {
  if (!communicator_->is_root()) return "";
  try {
    folder_.begin(step, bytes);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::string CheckpointWriter::write_part(const TrainerState& state, int moments_files) {
  const fs::path partial = folder_.partial_path(state.loop.position.step);
  std::vector<CheckpointFile> files;
  if (communicator_->is_root()) {
    SaveOptions options = options_.save_options;
    options.weights = &copy_.weights();
    model_.save(partial, options);
    state.write(partial);
    for (const auto& entry : fs::directory_iterator(partial)) {
      const std::string name = entry.path().filename().string();
      // Other ranks write their files meanwhile, first under temporary names (AtomicFile).
      const bool is_own = !is_optimizer_file_name(name) && !name.ends_with(".partial");
      if (is_own) files.push_back(describe_file(partial, name));
    }
  }
  if (!copy_.moments().empty()) {
    const std::string name = optimizer_file_name(moments_files == 1 ? 0 : communicator_->rank(), moments_files);
    models::write_safetensors(partial / name, copy_.moments());
    files.push_back(describe_file(partial, name));
  }
  return to_text(files);
}

double CheckpointWriter::local_progress() const { return is_in_flight_ && is_ready(part_) ? 1 : 0; }

void CheckpointWriter::apply_progress(double sum) {
  if (is_in_flight_ && sum >= communicator_->world_size()) collect();
  if (committing_.valid() && is_ready(committing_)) wait_for_commit();
}

void CheckpointWriter::collect() {
  is_in_flight_ = false;
  std::vector<CheckpointFile> files;
  std::string problem;
  for (const std::string& text : comm::all_gather_texts(*communicator_, part_.get())) {
    const Json part = Json::parse(text);
    if (part.contains("error")) {
      if (problem.empty()) problem = part["error"].get<std::string>();
      continue;
    }
    for (const Json& file : part["files"]) {
      files.push_back({file[0].get<std::string>(), file[1].get<std::uint64_t>(), file[2].get<std::string>()});
    }
  }
  if (!communicator_->is_root()) return;
  if (problem.empty()) {
    committing_ = in_background(
        is_urgent_,
        [this, files = std::move(files)] {
          commit_checkpoint(files);
          return std::string();
        },
        [](const std::string& message) { return message; });
  } else {
    folder_.discard(state_.position.step);
    report(problem);
  }
}

void CheckpointWriter::commit_checkpoint(const std::vector<CheckpointFile>& files) {
  const std::uint64_t step = state_.position.step;
  folder_.commit(step, files);
  last_seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
  folder_.remove_retired_checkpoints();
  const std::size_t kept = options_.total_limit.value_or(SIZE_MAX);
  if (folder_.steps().size() <= kept) return;
  if (const std::string flaw = find_defect(folder_.path(step)); !flaw.empty()) {
    throw Error(fmt::format("read again after it was written: {}", flaw));
  }
  std::optional<std::uint64_t> best;
  if (options_.keeps_best && state_.best.metric) best = state_.best.step;
  folder_.prune(kept, best);
}

void CheckpointWriter::wait_for_commit() {
  if (!committing_.valid()) return;
  problem_ = committing_.get();
  if (!problem_.empty()) return report(problem_);
  spdlog::info("{} is saved, {:.1f} s after its step", checkpoint_name(state_.position.step), last_seconds_.load());
}

void CheckpointWriter::report(const std::string& problem) {
  problem_ = problem;
  spdlog::warn("{} was not saved: {}; older checkpoints are kept", checkpoint_name(state_.position.step), problem);
}

std::string CheckpointWriter::finish() {
  if (is_in_flight_) collect();
  wait_for_commit();
  return comm::broadcast_text(*communicator_, problem_);
}

std::chrono::duration<double> CheckpointWriter::time_to_save() const {
  constexpr double kUnknown = 30;
  return std::chrono::duration<double>(last_seconds_ > 0 ? last_seconds_.load() : kUnknown);
}

}  // namespace lockstep::train
