#include "lockstep/data/split.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lockstep/core/digest.h"
#include "lockstep/core/error.h"
#include "lockstep/data/shuffle.h"

namespace lockstep::data {
namespace {

// No training epoch has this number, so the split differs from the order of the first epoch.
constexpr std::uint64_t kSplitEpoch = std::numeric_limits<std::uint64_t>::max();

}  // namespace

SubsetDataset::SubsetDataset(std::shared_ptr<const TokenizedDataset> dataset, std::vector<std::uint64_t> indices)
    : dataset_(std::move(dataset)), indices_(std::move(indices)) {}

std::string SubsetDataset::content_digest() const {
  core::Sha256 digest;
  digest.update(dataset_->content_digest());
  digest.update({reinterpret_cast<const char*>(indices_.data()), indices_.size() * sizeof(std::uint64_t)});
  return digest.hex_digest();
}

TrainValidationSplit split_for_validation(std::shared_ptr<const TokenizedDataset> dataset, double test_size,
                                          std::uint64_t seed) {
  const std::uint64_t size = dataset->size();
  const auto held_out = static_cast<std::uint64_t>(std::ceil(test_size * static_cast<double>(size)));
  if (held_out == 0 || held_out >= size) {
    throw InputError(
        fmt::format("cannot split {} rows for validation with test_size {}: both parts need a row; add rows, give "
                    "validation_datasets, or set evaluation_strategy: no",
                    size, test_size));
  }
  std::vector<std::uint64_t> order = shuffled_indices(size, seed, kSplitEpoch);
  const auto border = order.begin() + static_cast<std::ptrdiff_t>(held_out);
  std::vector<std::uint64_t> validation(order.begin(), border);
  std::vector<std::uint64_t> training(border, order.end());
  std::sort(validation.begin(), validation.end());
  std::sort(training.begin(), training.end());
  return {std::make_shared<SubsetDataset>(dataset, std::move(training)),
          std::make_shared<SubsetDataset>(dataset, std::move(validation))};
}

}  // namespace lockstep::data
