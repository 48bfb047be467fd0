#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lockstep::hub {

/// A model of the hub, at a revision.
struct ModelName {
  std::string repository;         // "google/flan-t5-small", "gpt2"
  std::string revision = "main";  // a branch, a tag or a commit
};

/// Parses "ORG/NAME" or "NAME", each optionally followed by "@REVISION". Returns none for text that cannot be a name by
/// the rules of huggingface_hub (utils/_validators.py) and, for revisions, of git.
std::optional<ModelName> parse_model_name(std::string_view text);

/// Returns true for a full commit id: 40 lower-case hexadecimal digits.
bool is_commit(std::string_view revision);

}  // namespace lockstep::hub
