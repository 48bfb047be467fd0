#pragma once

#include <map>
#include <string>

#include "lockstep/core/json.h"
#include "lockstep/models/families.h"
#include "models/weights/weight_files.h"

namespace lockstep::models {

/// Says which stored tensor holds which parameter of a model.
struct StoredNames {
  std::map<std::string, std::string> names;  // parameter -> tensor in the files
  bool has_untied_head = false;              // otherwise the head shares the weights of the embedding
};

/// Finds the tensors of the parameters as transformers (5.x) does. The embedding, its aliases in the family and a tied
/// head are one weight: whichever of them is stored stands in for those that are not, an alias before the head. A head
/// that differs from the embedding is untied. Throws InputError, naming the tensors, if an alias differs from the
/// embedding, or if two stored names mean one parameter with different values.
StoredNames find_stored_names(const WeightFiles& files, const Family& family, const Json& config);

/// Returns whether config.json declares that the head does not share the weights of the embedding.
bool declares_untied_head(const Family& family, const Json& config);

/// Returns the name under which a parameter is saved.
std::string saved_name(const std::string& parameter, const Family& family);

}  // namespace lockstep::models
