#pragma once

#include <memory>
#include <vector>

#include "lockstep/data/tokenized_dataset.h"

namespace lockstep::data {

/// A view of selected examples of another dataset, in a given order.
class SubsetDataset final : public TokenizedDataset {
 public:
  SubsetDataset(std::shared_ptr<const TokenizedDataset> dataset, std::vector<std::uint64_t> indices);

  std::uint64_t size() const override { return indices_.size(); }
  bool has_encoder() const override { return dataset_->has_encoder(); }
  std::uint32_t input_length(std::uint64_t index) const override { return dataset_->input_length(indices_.at(index)); }
  std::uint32_t target_length(std::uint64_t index) const override {
    return dataset_->target_length(indices_.at(index));
  }
  Example read(std::uint64_t index) const override { return dataset_->read(indices_.at(index)); }
  const std::string& tokenizer_digest() const override { return dataset_->tokenizer_digest(); }
  std::string content_digest() const override;
  std::uint64_t place_in_set(std::uint64_t index) const override { return dataset_->place_in_set(indices_.at(index)); }

 private:
  std::shared_ptr<const TokenizedDataset> dataset_;
  std::vector<std::uint64_t> indices_;
};

struct TrainValidationSplit {
  std::shared_ptr<const TokenizedDataset> training;
  std::shared_ptr<const TokenizedDataset> validation;
};

/// Draws ceil(test_size x size) examples by `seed` for validation, the same number as train_test_split of Hugging Face
/// datasets; the rest are for training. Throws InputError if that leaves either part empty.
TrainValidationSplit split_for_validation(std::shared_ptr<const TokenizedDataset> dataset, double test_size,
                                          std::uint64_t seed);

}  // namespace lockstep::data
