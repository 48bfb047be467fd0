#pragma once

#include <cstdint>

#include "lockstep/comm/communicator.h"
#include "lockstep/core/hyperparameters.h"
#include "lockstep/models/model.h"
#include "lockstep/train/cost_model.h"

namespace lockstep {

/// Tokens of a micro-batch beyond which more would be hardly faster: of what a pass costs by itself
/// (train/batch_cost.cpp) on CPUs, 2 % at that size; a guess for GPUs, whose many units want more at a time.
inline constexpr std::uint64_t kEnoughTokensOnHost = 4096, kEnoughTokensOnGpu = 16384;

/// The most tokens of a micro-batch of a rank that may use `memory_bytes`, of which it holds `held`
/// and of which a token takes `of_a_token` (train/cost_model.h): half of what is left for activations, up to `enough`.
/// 0 bytes: unknown, and enough.
std::uint64_t token_limit(double of_a_token, double held, double memory_bytes, std::uint64_t enough);

/// max_tokens_per_micro_batch, or, where the job does not give it, token_limit() of the rank that has least: of a GPU's
/// memory, or its share of the host's with the other ranks there. The same on every rank, and at every start on the
/// same machines.
std::uint64_t agree_on_token_limit(const LanguageModel& model, const Hyperparameters& hyperparameters,
                                   Communicator& communicator);

}  // namespace lockstep
