#include "train/checkpoints/optimizer_state.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

#include "lockstep/core/error.h"
#include "lockstep/models/weights/safetensors.h"
#include "lockstep/train/checkpoints/checkpoint.h"

namespace lockstep::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRemedy = "resume from another checkpoint, or start a new run";

// A saved range of one named state.
struct SavedStretch {
  const models::SafetensorsFile* file;
  std::string name;
  std::int64_t end;  // in flat order
};
using SavedStretches = std::map<std::int64_t, SavedStretch>;  // by their first element

class SavedState {
 public:
  SavedState(const fs::path& checkpoint, const std::map<std::string, std::int64_t>& sizes)
      : checkpoint_(checkpoint), sizes_(sizes) {
    for (const fs::path& path : optimizer_files(checkpoint)) {
      files_.push_back(std::make_unique<models::SafetensorsFile>(path));
      for (const std::string& name : files_.back()->names()) add(*files_.back(), name);
    }
  }

  /// Copies elements `part` of the state `name`.
  void copy(const std::string& name, comm::Range part, const at::Tensor& into) const {
    const auto found = stretches_.find(name);
    std::int64_t here = part.begin;
    while (here < part.end) {
      const SavedStretch* saved = nullptr;
      std::int64_t begin = 0;
      if (found != stretches_.end()) {
        if (auto next = found->second.upper_bound(here); next != found->second.begin()) {
          begin = std::prev(next)->first;
          saved = &std::prev(next)->second;
        }
      }
      if (saved == nullptr || saved->end <= here) {
        throw InputError(
            fmt::format("{}: expected elements {} to {} of {} in the optimizer's files, found none for element {}; {}",
                        checkpoint_.string(), part.begin, part.end, name, here, kRemedy));
      }
      const std::int64_t size = std::min(part.end, saved->end) - here;
      into.narrow(0, here - part.begin, size).copy_(saved->file->tensor(saved->name).narrow(0, here - begin, size));
      here += size;
    }
  }

 private:
  static std::vector<fs::path> optimizer_files(const fs::path& checkpoint) {
    std::error_code error;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(checkpoint, error)) {
      if (is_optimizer_file_name(entry.path().filename().string())) paths.push_back(entry.path());
    }
    if (error) core::throw_system_error("list the folder", checkpoint, error.value());
    std::ranges::sort(paths);
    return paths;
  }

  void add(const models::SafetensorsFile& file, const std::string& name) {
    const std::size_t slash = name.rfind('/');
    const std::string whole = name.substr(0, slash);
    std::int64_t begin = -1;
    if (slash != std::string::npos) {
      const char* end = name.data() + name.size();
      if (std::from_chars(name.data() + slash + 1, end, begin).ptr != end) begin = -1;
    }
    const auto size = sizes_.find(whole);
    if (begin < 0 || size == sizes_.end()) {
      throw InputError(
          fmt::format("{}: expected state of the parameters that this job trains, found '{}'; resume with the model "
                      "and the adapter that the checkpoint was made with, or start a new run",
                      file.path().string(), name));
    }
    const at::Tensor tensor = file.tensor(name);
    if (tensor.scalar_type() != at::kFloat || tensor.dim() != 1 || tensor.numel() > size->second - begin) {
      throw InputError(
          fmt::format("{}: '{}': expected at most {} elements in one dimension, fp32, found the shape "
                      "[{}] of type {}; {}",
                      file.path().string(), name, std::max<std::int64_t>(0, size->second - begin),
                      fmt::join(tensor.sizes(), ", "), c10::toString(tensor.scalar_type()), kRemedy));
    }
    const auto [place, is_new] =
        stretches_[whole].emplace(begin, SavedStretch{.file = &file, .name = name, .end = begin + tensor.numel()});
    if (!is_new) {
      throw InputError(fmt::format("{}: '{}': expected state that is in no other file, found it in {} too; {}",
                                   file.path().string(), name, place->second.file->path().string(), kRemedy));
    }
  }

  fs::path checkpoint_;
  const std::map<std::string, std::int64_t>& sizes_;
  std::vector<std::unique_ptr<models::SafetensorsFile>> files_;
  std::map<std::string, SavedStretches> stretches_;
};

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> saved_state(const Optimizer& optimizer) {
  std::vector<std::pair<std::string, at::Tensor>> state;
  for (const OptimizerStateRange& stretch : optimizer.state()) {
    if (stretch.is_saved) state.emplace_back(fmt::format("{}/{}", stretch.name, stretch.part.begin), stretch.tensor);
  }
  return state;
}

void load_optimizer_state(const fs::path& checkpoint, const Optimizer& optimizer) {
  const at::NoGradGuard no_grad;
  const SavedState saved(checkpoint, optimizer.state_sizes());
  for (const OptimizerStateRange& stretch : optimizer.state()) saved.copy(stretch.name, stretch.part, stretch.tensor);
}

}  // namespace lockstep::train
