#pragma once

#include <memory>

#include "lockstep/data/dataset.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// The number of rows of each dataset that `automatic` examines.
constexpr std::size_t kInspectedRows = 100;

/// Opens `dataset` for a model. Removes model_output from the end of model_input if the dataset's input_contains_output
/// says that it is there: prompt2model writes the training rows of decoder-only models in this form.
///
/// In these datasets, the text of EOS is also removed from the end of either column, since examples get EOS anyway.
/// `automatic` removes outputs for a decoder-only model if, among the first kInspectedRows rows, at least one has an
/// output, and every input that comes with an output is longer than it and ends with it; this is logged in one line.
/// Once outputs are removed, whether by `automatic` or by `yes`, a row that does not end with its output throws
/// InputError; rows with an empty output are left unchanged.
std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder);
/// Returns the rows of open_for_model() in blocks.
std::unique_ptr<RowBlocks> open_blocks_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder);

}  // namespace lockstep::data
