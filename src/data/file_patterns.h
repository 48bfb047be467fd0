#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep::data {

/// Returns true if `text` has a wildcard or another character with a meaning in patterns: `*`, `?`, `[` or `{`.
bool is_file_pattern(std::string_view text);

/// Returns the paths that match `pattern`, sorted bytewise and each once, by the rules of Hugging Face datasets: `*`
/// and
/// `?` match within a name, `[...]` is one character of a set, `[!...]` one outside of it, and `**` stands for any
/// number of folders, or at the end for all files below. Leaves out what datasets leaves out: hidden names, folders
/// that begin with "__", and files such as README.md and dataset_info.json, unless the pattern spells them out. Folders
/// match only if save_to_disk wrote them and the pattern has no `**`.
///
/// Throws InputError if nothing matches, if a folder cannot be read, and for patterns that libraries read in different
/// ways: `{a,b}`, `[^...]`, `[[:class:]]`, a backslash, and `**` next to other characters.
std::vector<std::string> find_matching_files(const std::string& pattern);

/// Returns true if `path` could be one of find_matching_files(pattern), judged by its name only.
bool matches_file_pattern(std::string_view path, std::string_view pattern);

}  // namespace lockstep::data
