#include "lockstep/models/weights/safetensors_header.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include <set>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::models {
namespace {

using UnorderedJson = nlohmann::json;  // Json compares each name with all previous ones

constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference implementation's limit
constexpr const char* kMetadata = "__metadata__";

[[noreturn]] void refuse_header(const std::string& why) { throw InputError(why); }

// Parses the header and rejects duplicate names, of which nlohmann would silently keep the last.
UnorderedJson parse_json(std::string_view text) {
  core::check_json_nesting(text);
  std::vector<std::set<std::string>> open;
  const auto callback = [&](int, UnorderedJson::parse_event_t event, UnorderedJson& value) {
    if (event == UnorderedJson::parse_event_t::object_start) open.emplace_back();
    if (event == UnorderedJson::parse_event_t::object_end) open.pop_back();
    if (event == UnorderedJson::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
      refuse_header(fmt::format("its header names '{}' twice", value.get<std::string>()));
    }
    return true;
  };
  try {
    return UnorderedJson::parse(text, callback);
  } catch (const UnorderedJson::exception& error) {
    refuse_header(fmt::format("its header is not valid JSON ({})", error.what()));
  }
}

const UnorderedJson& member(const std::string& name, const UnorderedJson& tensor, const char* key) {
  const auto found = tensor.find(key);
  if (found == tensor.end()) refuse_header(fmt::format("tensor '{}' has no {}", name, key));
  return *found;
}

bool is_list_of_counts(const UnorderedJson& list) {
  return list.is_array() && std::ranges::all_of(list, [](const auto& item) { return item.is_number_unsigned(); });
}

std::size_t read_type(const std::string& name, const UnorderedJson& tensor) {
  const UnorderedJson& type = member(name, tensor, "dtype");
  const auto found =
      std::ranges::find(kSafetensorsTypes, type.is_string() ? type.get<std::string>() : "", &SafetensorsType::name);
  if (found != kSafetensorsTypes.end()) return static_cast<std::size_t>(found - kSafetensorsTypes.begin());
  std::vector<std::string_view> names;
  for (const SafetensorsType& known : kSafetensorsTypes) names.push_back(known.name);
  refuse_header(
      fmt::format("tensor '{}' has the unknown dtype {} (known are {})", name, type.dump(), fmt::join(names, ", ")));
}

std::vector<std::int64_t> read_shape(const std::string& name, const UnorderedJson& tensor) {
  const UnorderedJson& shape = member(name, tensor, "shape");
  const auto fits = [](const UnorderedJson& size) { return size.get<std::uint64_t>() <= INT64_MAX; };
  if (!is_list_of_counts(shape) || !std::ranges::all_of(shape, fits)) {
    refuse_header(fmt::format("tensor '{}' has an impossible shape, {}", name, shape.dump()));
  }
  return shape.get<std::vector<std::int64_t>>();
}

SafetensorsEntry read_entry(const std::string& name, const UnorderedJson& tensor, std::uint64_t available) {
  if (!tensor.is_object())
    refuse_header(fmt::format("tensor '{}' is not an object with dtype, shape and data_offsets", name));
  SafetensorsEntry entry{read_type(name, tensor), read_shape(name, tensor), 0, 0};
  const UnorderedJson& offsets = member(name, tensor, "data_offsets");
  if (!is_list_of_counts(offsets) || offsets.size() != 2) {
    refuse_header(fmt::format("tensor '{}' has the data_offsets {}, not two bytes of the file", name, offsets.dump()));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  if (entry.begin > entry.end || entry.end > available) {
    refuse_header(
        fmt::format("tensor '{}' has the bytes {} to {}, the file holds {}", name, entry.begin, entry.end, available));
  }
  std::uint64_t bytes = kSafetensorsTypes[entry.type].bytes;
  std::uint64_t strided = bytes;  // bytes if sizes of 0 were 1: LibTorch computes this product, too
  for (const std::int64_t size : entry.shape) {
    bytes *= static_cast<std::uint64_t>(size);
    if (__builtin_mul_overflow(strided, static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1)), &strided)) {
      refuse_header(fmt::format("tensor '{}' has an impossible shape, [{}]", name, fmt::join(entry.shape, ", ")));
    }
  }
  if (bytes != entry.end - entry.begin) {
    refuse_header(fmt::format("tensor '{}' of shape [{}] needs {} bytes, found {}", name, fmt::join(entry.shape, ", "),
                              bytes, entry.end - entry.begin));
  }
  return entry;
}

// Throws InputError unless the tensors are contiguous, without overlaps or gaps, up to the end of the file.
void check_places(const std::map<std::string, SafetensorsEntry>& tensors, std::uint64_t available) {
  std::vector<const std::pair<const std::string, SafetensorsEntry>*> in_order;
  for (const auto& tensor : tensors) in_order.push_back(&tensor);
  std::ranges::sort(in_order, {},
                    [](const auto* tensor) { return std::pair(tensor->second.begin, tensor->second.end); });
  std::uint64_t end = 0;
  for (const auto* tensor : in_order) {
    const std::uint64_t begin = tensor->second.begin;
    if (begin != end) {
      refuse_header(fmt::format("tensor '{}' begins at byte {}, {} the end of the one before it, {}", tensor->first,
                                begin, begin < end ? "which overlaps, before" : "which leaves a gap, after", end));
    }
    end = tensor->second.end;
  }
  if (end != available) refuse_header(fmt::format("its tensors take {} bytes, the file holds {}", end, available));
}

SafetensorsHeader parse(std::string_view file) {
  if (file.size() < kSafetensorsLengthBytes)
    refuse_header(fmt::format("it has {} bytes, too few for a header", file.size()));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, file.data(), kSafetensorsLengthBytes);
  if (header_size > kLargestHeader || header_size > file.size() - kSafetensorsLengthBytes) {
    refuse_header(fmt::format("its header claims {} bytes, the file has {}", header_size, file.size()));
  }
  const std::string_view text = file.substr(kSafetensorsLengthBytes, header_size);
  if (text.find('\0') != std::string_view::npos) refuse_header("its header is not valid JSON (it has a NUL)");
  const UnorderedJson json = parse_json(text);
  if (!json.is_object()) refuse_header("its header is not a JSON object");
  SafetensorsHeader header{kSafetensorsLengthBytes + header_size, {}};
  const std::uint64_t available = file.size() - header.tensors_begin;
  for (const auto& [name, value] : json.items()) {
    if (name != kMetadata) header.tensors.emplace(name, read_entry(name, value, available));
  }
  check_places(header.tensors, available);
  return header;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& path) {
  try {
    return parse(file);
  } catch (const InputError& error) {
    throw InputError(
        fmt::format("{}: not a complete safetensors file: {}; fetch or save it again", path, error.what()));
  }
}

}  // namespace lockstep::models
