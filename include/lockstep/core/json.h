#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace lockstep {

/// JSON that keeps the order of keys, so that files a user gave come back as they were.
using Json = nlohmann::ordered_json;

/// Reads a JSON file. Throws InputError naming the file, and the line of a syntax error.
Json read_json_file(const std::filesystem::path& path);

/// Writes `json` with an indent of two spaces and a final newline, atomically (AtomicFile).
void write_json_file(const std::filesystem::path& path, const Json& json);

}  // namespace lockstep
