#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lockstep::core {

/// JSON that keeps the order of keys, so that files a user gave come back as they were.
using Json = nlohmann::ordered_json;

/// Throws InputError if arrays and objects are nested so deep in `text` that functions which follow them down might
/// exhaust the stack.
void check_json_nesting(std::string_view text);

/// `value` as a whole number from 0 to `largest`; get() would convert negative and fractional ones too. Throws
/// InputError, saying what was found, for another value.
std::uint64_t json_count(const Json& value, std::uint64_t largest = UINT64_MAX);

/// Reads a JSON file. Throws InputError naming the file, and the line of a syntax error.
Json read_json_file(const std::filesystem::path& path);

/// Writes `json` with an indent of two spaces and a final newline, atomically (AtomicFile).
void write_json_file(const std::filesystem::path& path, const Json& json);

}  // namespace lockstep::core

namespace lockstep {
using core::Json;
}  // namespace lockstep
