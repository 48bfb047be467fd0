#include "models/weights/pickled_weights.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <algorithm>
#include <cstring>

#include "lockstep/core/error.h"
#include "models/weights/pickled_state.h"

namespace lockstep::models {
namespace {

using Archive = caffe2::serialize::PyTorchStreamReader;

constexpr std::uint64_t kMethodPlace = 8;  // offset of the compression method, two bytes, in a zip record's header

[[noreturn]] void refuse_archive(const std::string& why) { throw InputError(why); }

class MappedBytes final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MappedBytes(std::string_view bytes) : bytes_(bytes) {}
  std::size_t size() const override { return bytes_.size(); }
  std::size_t read(std::uint64_t place, void* into, std::size_t count, const char*) const override {
    const std::string_view found = bytes_.substr(std::min<std::uint64_t>(place, bytes_.size()), count);
    std::memcpy(into, found.data(), found.size());
    return found.size();
  }

 private:
  std::string_view bytes_;
};

std::string read_record(Archive& archive, const std::string& name) {
  const auto [data, size] = archive.getRecord(name);
  return {static_cast<const char*>(data.get()), size};
}

// Returns the bytes of an uncompressed record within the file; torch.save() compresses none.
std::string_view stored_record(Archive& archive, std::string_view file, const std::string& name) {
  if (!archive.hasRecord(name)) refuse_archive(fmt::format("its record {} is missing", name));
  const std::uint64_t header = archive.getRecordHeaderOffset(name);
  const std::uint64_t begin = archive.getRecordOffset(name), size = archive.getRecordSize(name);
  if (begin > file.size() || size > file.size() - begin)
    refuse_archive(fmt::format("its record {} exceeds the file", name));
  std::uint16_t method = 0;
  std::memcpy(&method, file.data() + header + kMethodPlace, sizeof method);
  if (method != 0) refuse_archive(fmt::format("its record {} is compressed, expected as torch.save() writes it", name));
  return file.substr(begin, size);
}

}  // namespace

PickledWeights::PickledWeights(std::filesystem::path path) : file_(std::move(path)) {
  const auto refuse_file = [&](std::string_view why) {
    throw InputError(fmt::format("{}: not a state dict of torch.save(): {}", file_.path().string(), why));
  };
  if (file_.bytes().starts_with("\x80\x02")) {
    refuse_file("it has the format from before torch 1.6; save it again with a newer one, or as safetensors");
  }
  try {
    read_archive();
  } catch (const InputError& error) {
    refuse_file(error.what());
  } catch (const c10::Error& error) {
    const std::string_view message = error.what_without_backtrace();
    refuse_file(fmt::format("{}; fetch or save it again", message.substr(0, message.find_first_of(".\n"))));
  }
}

void PickledWeights::read_archive() {
  Archive archive(std::make_shared<MappedBytes>(file_.bytes()));
  if (!archive.hasRecord("data.pkl")) refuse_archive("its record data.pkl is missing");
  if (archive.hasRecord("byteorder") && read_record(archive, "byteorder") != "little") {
    refuse_archive("its numbers are big-endian, expected little-endian ones; save it as safetensors");
  }
  for (const auto& [name, pickled] : read_pickled_state(read_record(archive, "data.pkl"))) {
    const std::string_view bytes = stored_record(archive, file_.bytes(), "data/" + pickled.storage);
    const auto item_bytes = static_cast<std::int64_t>(c10::elementSize(pickled.type));
    if (pickled.storage_numbers > static_cast<std::int64_t>(bytes.size()) / item_bytes) {
      refuse_archive(fmt::format("tensor '{}' lies in a storage of {} numbers, its record holds {} bytes", name,
                                 pickled.storage_numbers, bytes.size()));
    }
    const char* begin = bytes.data() + pickled.offset * item_bytes;
    tensors_.emplace(
        name, at::from_blob(const_cast<char*>(begin), pickled.sizes, pickled.strides, at::TensorOptions(pickled.type)));
  }
}

std::vector<std::string> PickledWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) names.push_back(name);
  return names;
}

}  // namespace lockstep::models
