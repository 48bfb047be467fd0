#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lockstep::core {

/// JSON that preserves the order of keys, so that a user's file keeps its order when it is written again.
using Json = nlohmann::ordered_json;

/// Throws InputError if arrays and objects in `text` are nested so deeply that recursive functions could exhaust the
/// stack.
void check_json_nesting(std::string_view text);

/// Returns `value` as a whole number from 0 to `largest`. Throws InputError, quoting what was found, for any other
/// value; get() would silently convert negative and fractional numbers.
std::uint64_t json_count(const Json& value, std::uint64_t largest = UINT64_MAX);

/// Reads a JSON file. Throws InputError naming the file and, for a syntax error, the line.
Json read_json_file(const std::filesystem::path& path);

/// Writes `json` atomically (through AtomicFile), with an indent of two spaces and a final newline.
void write_json_file(const std::filesystem::path& path, const Json& json);

}  // namespace lockstep::core

namespace lockstep {
using core::Json;
}  // namespace lockstep
