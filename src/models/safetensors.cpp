#include "lockstep/models/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;  // the reference implementation's limit
constexpr std::uint64_t kAlignment = 64;               // of the first tensor, so that mapped ones are aligned

struct Type {
  const char* name;
  at::ScalarType type;
};
constexpr std::array kTypes = {Type{"F32", at::kFloat},  Type{"F16", at::kHalf}, Type{"BF16", at::kBFloat16},
                               Type{"F64", at::kDouble}, Type{"I64", at::kLong}, Type{"I32", at::kInt},
                               Type{"I16", at::kShort},  Type{"I8", at::kChar},  Type{"U8", at::kByte},
                               Type{"BOOL", at::kBool}};

// nlohmann keeps the last of two equal keys in silence; the names are checked while it parses.
Json parse_header(std::string_view text, std::string& duplicate) {
  std::vector<std::set<std::string>> open;
  const auto callback = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
      duplicate = value.get<std::string>();
    }
    return true;
  };
  return Json::parse(text, callback);
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)) {
  const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("open", path_, errno);
  struct stat status {};
  ::fstat(descriptor, &status);
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (size_ < kLengthBytes) {
    ::close(descriptor);
    refuse(fmt::format("it has {} bytes, too few for a header", size_));
  }
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int error_number = errno;
  ::close(descriptor);
  if (mapping == MAP_FAILED) throw_system_error("map into memory", path_, error_number);
  data_ = static_cast<const char*>(mapping);
  try {
    parse(size_);
  } catch (...) {
    ::munmap(mapping, size_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { ::munmap(const_cast<char*>(data_), size_); }

void SafetensorsFile::refuse(const std::string& why) const {
  throw InputError(fmt::format("{}: not a complete safetensors file: {}; fetch or save it again", path_.string(), why));
}

void SafetensorsFile::parse(std::uint64_t file_size) {
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, data_, kLengthBytes);
  if (header_size > kLargestHeader || header_size > file_size - kLengthBytes) {
    refuse(fmt::format("its header claims {} bytes, the file has {}", header_size, file_size));
  }
  tensors_begin_ = kLengthBytes + header_size;
  const std::uint64_t available = file_size - tensors_begin_;
  Json header;
  std::string duplicate;
  try {
    header = parse_header({data_ + kLengthBytes, header_size}, duplicate);
  } catch (const Json::parse_error& error) {
    refuse(fmt::format("its header is not valid JSON ({})", error.what()));
  }
  if (!header.is_object()) refuse("its header is not a JSON object");
  if (!duplicate.empty()) refuse(fmt::format("its header names '{}' twice", duplicate));
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") tensors_.emplace(name, read_entry(name, value, available));
  }

  std::vector<const std::pair<const std::string, Entry>*> in_order;
  for (const auto& tensor : tensors_) in_order.push_back(&tensor);
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t end = 0;
  for (const auto* tensor : in_order) {
    if (tensor->second.begin != end) {
      refuse(fmt::format("tensor '{}' begins at byte {}, expected {} (tensors overlap or leave a hole)", tensor->first,
                         tensor->second.begin, end));
    }
    end = tensor->second.end;
  }
  if (end != available) refuse(fmt::format("its tensors take {} bytes, the file holds {}", end, available));
}

SafetensorsFile::Entry SafetensorsFile::read_entry(const std::string& name, const Json& json,
                                                   std::uint64_t available) const {
  Entry entry{};
  try {
    const auto type_name = json.at("dtype").get<std::string>();
    const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return type_name == t.name; });
    if (type == kTypes.end()) refuse(fmt::format("tensor '{}' has the unknown dtype '{}'", name, type_name));
    entry.type = type->type;
    const auto offsets = json.at("data_offsets").get<std::array<std::uint64_t, 2>>();
    entry.begin = offsets[0];
    entry.end = offsets[1];
    for (const Json& size : json.at("shape")) entry.shape.push_back(size.get<std::int64_t>());
  } catch (const Json::exception&) {
    refuse(fmt::format("tensor '{}' lacks a valid dtype, shape or data_offsets", name));
  }
  if (entry.begin > entry.end || entry.end > available) {
    refuse(
        fmt::format("tensor '{}' has the bytes {} to {}, the file holds {}", name, entry.begin, entry.end, available));
  }
  std::uint64_t bytes = c10::elementSize(entry.type);
  for (const std::int64_t size : entry.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) {
      refuse(fmt::format("tensor '{}' has an impossible shape", name));
    }
  }
  if (bytes != entry.end - entry.begin) {
    refuse(fmt::format("tensor '{}' of shape [{}] needs {} bytes, found {}", name, fmt::join(entry.shape, ", "), bytes,
                       entry.end - entry.begin));
  }
  return entry;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : tensors_) names.push_back(name);
  return names;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const Entry& entry = tensors_.at(name);
  const char* bytes = data_ + tensors_begin_ + entry.begin;
  return at::from_blob(const_cast<char*>(bytes), entry.shape, at::TensorOptions(entry.type));
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto* type =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const Type& t) { return t.type == tensor.scalar_type(); });
    if (type == kTypes.end())
      throw Error(fmt::format("{}: '{}' has a dtype that safetensors lacks", path.string(), name));
    header[name] = {
        {"dtype", type->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();
  AtomicFile file(path);
  file.write({reinterpret_cast<const char*>(&length), kLengthBytes});
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor contiguous = tensor.detach().contiguous();
    file.write({static_cast<const char*>(contiguous.const_data_ptr()), contiguous.nbytes()});
  }
  file.commit();
}

}  // namespace lockstep
