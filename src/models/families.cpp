#include "lockstep/models/families.h"

#include <algorithm>

#include "models/families/all_families.h"

namespace lockstep::models {
namespace {

std::vector<Family> make_families() {
#define LOCKSTEP_MODEL_TYPE(model_type, ...) model_type##_family(),
  std::vector<Family> all = {
#include "lockstep/data/model_types.inc"
  };
#undef LOCKSTEP_MODEL_TYPE
  for (std::size_t i = 0; i < all.size(); ++i) all[i].facts = &data::supported_model_families()[i];
  return all;
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> all = make_families();
  return all;
}

const Family& find_family(const Json& config) {
  return *std::ranges::find(families(), &data::find_model_family(config, "config.json"), &Family::facts);
}

}  // namespace lockstep::models
