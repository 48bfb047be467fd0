#include "lockstep/train/optimizer_state.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>

#include "lockstep/core/error.h"
#include "lockstep/models/safetensors.h"
#include "lockstep/train/checkpoint.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMean = "exp_avg";  // as torch.optim.AdamW names them
constexpr const char* kSquare = "exp_avg_sq";
constexpr const char* kRemedy = "resume from another checkpoint, or train anew";

// What is owned of a parameter.
struct OwnedStretch {
  Part of_parameter;       // in its flat order
  std::int64_t begin = 0;  // in what is owned of the bucket
};

OwnedStretch owned_stretch(const ParameterLayout::Entry& entry, const Ownership& ownership) {
  const Part owned = ownership.parts[entry.bucket];
  const std::int64_t begin = std::max(owned.begin, entry.offset);
  const std::int64_t end = std::min(owned.end, entry.offset + entry.parameter.numel());
  return {.of_parameter = {begin - entry.offset, end - entry.offset}, .begin = begin - owned.begin};
}

template <class Visit>
void for_each_owned(const ParameterLayout& layout, const Ownership& ownership, const AdamW& optimizer,
                    const Visit& visit) {
  for (const ParameterLayout::Entry& entry : layout.entries()) {
    const OwnedStretch stretch = owned_stretch(entry, ownership);
    if (stretch.of_parameter.size() <= 0) continue;
    for (const auto& [moment, buckets] : {std::pair{kMean, &optimizer.means()}, {kSquare, &optimizer.squares()}}) {
      visit(fmt::format("{}/{}", entry.name, moment), stretch.of_parameter,
            (*buckets)[entry.bucket].narrow(0, stretch.begin, stretch.of_parameter.size()));
    }
  }
}

// Of one moment of one parameter.
struct SavedStretch {
  const SafetensorsFile* file;
  std::string name;
  std::int64_t end;  // in the parameter's flat order
};
using SavedStretches = std::map<std::int64_t, SavedStretch>;  // by where they begin

class SavedState {
 public:
  SavedState(const fs::path& checkpoint, const ParameterLayout& layout) : checkpoint_(checkpoint) {
    for (const ParameterLayout::Entry& entry : layout.entries()) {
      for (const char* moment : {kMean, kSquare}) {
        sizes_.emplace(fmt::format("{}/{}", entry.name, moment), entry.parameter.numel());
      }
    }
    for (const fs::path& path : optimizer_files(checkpoint)) {
      files_.push_back(std::make_unique<SafetensorsFile>(path));
      for (const std::string& name : files_.back()->names()) add(*files_.back(), name);
    }
  }

  /// Copies elements `part` of a moment of a parameter.
  void copy(const std::string& moment, Part part, const at::Tensor& into) const {
    const auto found = stretches_.find(moment);
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
            fmt::format("{}: expected elements {} to {} of {} in the optimizer's files, found nothing of "
                        "element {}; {}",
                        checkpoint_.string(), part.begin, part.end, moment, here, kRemedy));
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
    if (error) throw_system_error("list the folder", checkpoint, error.value());
    std::ranges::sort(paths);
    return paths;
  }

  void add(const SafetensorsFile& file, const std::string& name) {
    const std::size_t slash = name.rfind('/');
    const std::string moment = name.substr(0, slash);
    std::int64_t begin = -1;
    if (slash != std::string::npos) {
      const char* end = name.data() + name.size();
      if (std::from_chars(name.data() + slash + 1, end, begin).ptr != end) begin = -1;
    }
    const auto size = sizes_.find(moment);
    if (begin < 0 || size == sizes_.end()) {
      throw InputError(
          fmt::format("{}: expected state of the parameters that this job trains, found '{}'; resume "
                      "with the model and the adapter that the checkpoint was made with, or train anew",
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
        stretches_[moment].emplace(begin, SavedStretch{.file = &file, .name = name, .end = begin + tensor.numel()});
    if (!is_new) {
      throw InputError(fmt::format("{}: '{}': expected state that is in no other file, found it in {}, too; {}",
                                   file.path().string(), name, place->second.file->path().string(), kRemedy));
    }
  }

  fs::path checkpoint_;
  std::map<std::string, std::int64_t> sizes_;  // of the parameters, by "parameter/moment"
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, SavedStretches> stretches_;  // the same
};

}  // namespace

std::vector<std::pair<std::string, at::Tensor>> optimizer_state(const ParameterLayout& layout,
                                                                const Ownership& ownership, const AdamW& optimizer) {
  std::vector<std::pair<std::string, at::Tensor>> state;
  for_each_owned(layout, ownership, optimizer, [&](const std::string& moment, Part part, const at::Tensor& own) {
    state.emplace_back(fmt::format("{}/{}", moment, part.begin), own);
  });
  return state;
}

void load_optimizer_state(const fs::path& checkpoint, const ParameterLayout& layout, const Ownership& ownership,
                          AdamW& optimizer) {
  const at::NoGradGuard no_grad;
  const SavedState saved(checkpoint, layout);
  for_each_owned(layout, ownership, optimizer,
                 [&](const std::string& moment, Part part, const at::Tensor& own) { saved.copy(moment, part, own); });
}

}  // namespace lockstep
