#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "lockstep/data/dataset.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::data {

/// The number of rows of each dataset that find_contained_outputs() examines.
constexpr std::size_t kInspectedRows = 100;

/// Whether the inputs of a job end with their outputs: prompt2model writes the training rows of decoder-only models in
/// this form.
enum class ContainedOutputs { kAbsent, kPresent, kPresentByGuess };

/// Returns what input_contains_output says of the datasets, which must all have the same setting. `automatic` looks at
/// the first kInspectedRows rows of each dataset for a decoder-only model: outputs are present if, in all datasets,
/// each input that comes with an output ends with it.
///
/// Throws InputError, which asks for input_contains_output, where that is unclear: if the datasets differ, if nothing
/// is left of a prompt without its output, or if the same prompt is left for all of several outputs, as for a task of
/// copying.
ContainedOutputs find_contained_outputs(const std::vector<Dataset>& datasets, const Tokenizer& tokenizer,
                                        bool has_encoder);

/// Opens `dataset` in blocks. If outputs are present, removes model_output from the end of model_input, and the text of
/// EOS from the end of either column, since examples get EOS anyway; a guess is logged. A row that then does not end
/// with its output throws InputError, and so does, after a guess, one of which no prompt is left; rows with an empty
/// output are left unchanged.
std::unique_ptr<RowBlocks> open_blocks_for_model(const Dataset& dataset, const Tokenizer& tokenizer,
                                                 ContainedOutputs contained_outputs);

/// Returns the rows of a dataset that is used by itself.
std::unique_ptr<RowReader> open_for_model(const Dataset& dataset, const Tokenizer& tokenizer, bool has_encoder);

}  // namespace lockstep::data
