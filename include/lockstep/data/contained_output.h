#pragma once

#include <memory>

#include "lockstep/data/dataset.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// The rows that `automatic` looks at in each dataset.
constexpr std::size_t kInspectedRows = 100;

/// Opens `dataset` for a model, and takes model_output off the end of model_input where the dataset's
/// input_contains_output says that it stands there: prompt2model writes the training rows of decoder-only models so.
///
/// EOS's text at the end of either column is taken off too in these datasets, since examples get EOS anyway.
/// `automatic` means it for a decoder-only model if, of the first kInspectedRows rows, at least one has an output and
/// each that has one has an input that is longer and ends with it; it says so in one line of the log. A later row that
/// does not end with its output throws InputError, as any does for `yes`; rows with an empty output are left as they
/// are.
std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder);
/// The same rows in blocks.
std::unique_ptr<RowBlocks> open_blocks_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder);

}  // namespace lockstep::data
