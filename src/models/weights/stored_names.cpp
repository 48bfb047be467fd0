#include "models/weights/stored_names.h"

#include <fmt/format.h>
#include <algorithm>

#include "lockstep/core/error.h"
#include "models/config.h"

namespace lockstep::models {
namespace {

constexpr const char* kHeadPrefix = "lm_head.";
constexpr const char* kHead = "lm_head.weight";

bool has_ignored_suffix(const std::string& name, const Family& family) {
  return std::ranges::any_of(family.ignored_suffixes, [&](const std::string& end) { return name.ends_with(end); });
}

std::string parameter_name(const std::string& stored, const Family& family) {
  for (const auto& [from, to] : family.renamed) {
    if (stored.starts_with(from)) return to + stored.substr(from.size());
  }
  const bool is_bare = !stored.starts_with(family.base_prefix) && !stored.starts_with(kHeadPrefix);
  return is_bare ? family.base_prefix + stored : stored;
}

// Compares values, whatever the types in which they are stored, as transformers does after loading.
bool are_equal(const WeightFiles& files, const std::string& one, const std::string& other) {
  const at::Tensor a = files.tensor(one), b = files.tensor(other);
  if (a.sizes() != b.sizes()) return false;
  return a.scalar_type() == b.scalar_type() ? a.equal(b) : a.to(at::kFloat).equal(b.to(at::kFloat));
}

[[noreturn]] void refuse_copy(const WeightFiles& files, const std::string& one, const std::string& other,
                              const char* reason) {
  throw InputError(
      fmt::format("{}: tensors '{}' and '{}' differ, but {}, so that they must be equal; remove one of them "
                  "from the file, or convert the model with transformers",
                  files.path_of(other).string(), one, other, reason));
}

// Removes the aliases of the embedding from `names`; the first of them stands in for a missing embedding.
void merge_aliases(const WeightFiles& files, const Family& family, std::map<std::string, std::string>& names) {
  for (const std::string& alias : family.embedding_aliases) {
    const auto found = names.find(alias);
    if (found == names.end()) continue;
    const auto [embedding, stands_in] = names.emplace(family.embedding, found->second);
    if (!stands_in && !are_equal(files, embedding->second, found->second)) {
      refuse_copy(files, embedding->second, found->second, "encoder and decoder share one embedding here");
    }
    names.erase(found);
  }
}

}  // namespace

bool declares_untied_head(const Family& family, const Json& config) {
  return family.reads_tie_flag && !config_flag(config, "tie_word_embeddings", family.ties_head);
}

StoredNames find_stored_names(const WeightFiles& files, const Family& family, const Json& config) {
  StoredNames stored;
  for (const std::string& name : files.names()) {
    if (has_ignored_suffix(name, family)) continue;
    const auto [known, is_new] = stored.names.emplace(parameter_name(name, family), name);
    if (!is_new && !are_equal(files, known->second, name)) {
      refuse_copy(files, known->second, name, "both are names of one weight");
    }
  }
  merge_aliases(files, family, stored.names);
  stored.has_untied_head = declares_untied_head(family, config);
  const auto head = stored.names.find(kHead);
  if (stored.has_untied_head || head == stored.names.end()) return stored;
  const auto [embedding, stands_in] = stored.names.emplace(family.embedding, head->second);
  stored.has_untied_head = !stands_in && !are_equal(files, head->second, embedding->second);
  if (!stored.has_untied_head) stored.names.erase(head);
  return stored;
}

std::string saved_name(const std::string& parameter, const Family& family) {
  for (const auto& [to, from] : family.renamed) {
    if (parameter.starts_with(from)) return to + parameter.substr(from.size());
  }
  return parameter;
}

}  // namespace lockstep::models
