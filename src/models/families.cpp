#include <fmt/format.h>

#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/models/families.h"
#include "models/config.h"
#include "models/families/all_families.h"

namespace lockstep::models {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {t5_family(),       mt5_family(),     umt5_family(),  gpt2_family(),
                                          llama_family(),    mistral_family(), qwen2_family(), qwen3_family(),
                                          gpt_neox_family(), phi3_family(),    gemma_family(), gemma2_family(),
                                          gptj_family(),     gpt_neo_family(), opt_family(),   falcon_family()};
  return all;
}

const Family& find_family(const Json& config) {
  const std::string model_type = config_text(config, "model_type", "");
  const auto found = std::ranges::find(families(), model_type, &Family::model_type);
  if (found != families().end()) return *found;
  std::vector<std::string> supported;
  for (const Family& family : families()) supported.push_back(family.model_type);
  throw InputError(fmt::format("config.json: the model_type '{}' is not supported (supported: {})", model_type,
                               fmt::join(supported, ", ")));
}

}  // namespace lockstep::models
