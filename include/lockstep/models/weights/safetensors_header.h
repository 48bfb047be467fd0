#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::models {

/// Describes an element type that Lockstep reads; `name` is its name in safetensors files.
struct SafetensorsType {
  std::string_view name;
  std::uint64_t bytes;
};
inline constexpr std::array kSafetensorsTypes{
    SafetensorsType{"F32", 4}, SafetensorsType{"F16", 2}, SafetensorsType{"BF16", 2}, SafetensorsType{"F64", 8},
    SafetensorsType{"I64", 8}, SafetensorsType{"I32", 4}, SafetensorsType{"I16", 2},  SafetensorsType{"I8", 1},
    SafetensorsType{"U8", 1},  SafetensorsType{"BOOL", 1}};

/// Describes a tensor as the header of a safetensors file does.
struct SafetensorsEntry {
  std::size_t type;  // index in kSafetensorsTypes
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;  // bytes, relative to SafetensorsHeader::tensors_begin
};

/// The size of the first field of a safetensors file: the length of the header, little-endian.
inline constexpr std::uint64_t kSafetensorsLengthBytes = 8;

/// Holds the parsed JSON header of a safetensors file.
struct SafetensorsHeader {
  std::uint64_t tensors_begin;  // offset in the file, bytes
  std::map<std::string, SafetensorsEntry> tensors;
};

/// Parses the header of a safetensors file, given the bytes of the whole file, and validates it as the reference
/// implementation does: the tensors must be contiguous, without overlaps or gaps, and must end where the file ends.
/// Throws InputError naming `path` and the problem.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& path);

}  // namespace lockstep::models
