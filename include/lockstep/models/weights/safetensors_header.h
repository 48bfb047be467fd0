#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::models {

/// An element type that Lockstep reads, by its name in safetensors files.
struct SafetensorsType {
  std::string_view name;
  std::uint64_t bytes;
};
inline constexpr std::array kSafetensorsTypes{
    SafetensorsType{"F32", 4}, SafetensorsType{"F16", 2}, SafetensorsType{"BF16", 2}, SafetensorsType{"F64", 8},
    SafetensorsType{"I64", 8}, SafetensorsType{"I32", 4}, SafetensorsType{"I16", 2},  SafetensorsType{"I8", 1},
    SafetensorsType{"U8", 1},  SafetensorsType{"BOOL", 1}};

/// A tensor, as the header of a safetensors file describes it.
struct SafetensorsEntry {
  std::size_t type;  // index in kSafetensorsTypes
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;  // bytes from the start of the tensors
};

/// The bytes of the header's length, little endian, with which a safetensors file begins.
inline constexpr std::uint64_t kSafetensorsLengthBytes = 8;

/// What stands behind it and before the tensors' bytes: a header in JSON.
struct SafetensorsHeader {
  std::uint64_t tensors_begin;  // byte of the file
  std::map<std::string, SafetensorsEntry> tensors;
};

/// Reads the header at the start of `file`, the bytes of a whole file, and checks it as the reference implementation
/// does: the tensors lie one behind the other, without overlap or hole, and end where the file ends. Throws InputError,
/// naming `path` and what is wrong.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& path);

}  // namespace lockstep::models
