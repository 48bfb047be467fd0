#include <fmt/format.h>

#include <array>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/data/model_folder.h"
#include "lockstep/models/config.h"
#include "lockstep/models/families.h"

namespace lockstep {
namespace {

struct Family {
  const char* model_type;
  std::shared_ptr<LanguageModel> (*build)(const Json& config, const BuildOptions& options);
};
constexpr std::array kFamilies = {Family{"t5", &build_t5}, Family{"gpt2", &build_gpt2}};

}  // namespace

std::shared_ptr<LanguageModel> build_model(const Json& config, const BuildOptions& options) {
  const std::string model_type = config_text(config, "model_type", "");
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type) return family.build(config, options);
  }
  std::vector<std::string_view> supported;
  for (const ModelFamily& family : supported_model_families()) supported.push_back(family.model_type);
  throw InputError(fmt::format("config.json: the model_type '{}' is not supported (supported: {})", model_type,
                               fmt::join(supported, ", ")));
}

}  // namespace lockstep
