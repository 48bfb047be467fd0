#pragma once

#include <string>
#include <vector>

#include "lockstep/models/model.h"
#include "lockstep/text/tokenizer.h"

namespace lockstep::models {

/// Makes the special ids of a model's config.json and generation_config.json those of the tokenizer that it is trained
/// with, as transformers' Trainer does (align_special_tokens() in trainer_utils.py): the tokenizer's EOS comes first
/// and the other EOS ids of a list, and all of generation_config.json, still end a text; BOS and padding are replaced.
/// An encoder-decoder model also gets its decoder_start_token_id where a file lacks it. Returns a description of each
/// change, e.g. "eos_token_id 7 (was 2)".
std::vector<std::string> align_special_ids(LanguageModel& model, const Tokenizer& tokenizer);

}  // namespace lockstep::models
