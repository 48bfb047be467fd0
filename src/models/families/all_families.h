#pragma once

#include "lockstep/models/families.h"

namespace lockstep::models {

// Each function describes one family. models/families.cpp calls them.
Family t5_family();
Family mt5_family();
Family umt5_family();
Family gpt2_family();
Family llama_family();
Family mistral_family();
Family qwen2_family();
Family qwen3_family();
Family gpt_neox_family();
Family phi3_family();
Family gemma_family();
Family gemma2_family();
Family gptj_family();
Family gpt_neo_family();
Family opt_family();
Family falcon_family();

}  // namespace lockstep::models
