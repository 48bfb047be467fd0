#include "data/shards/hdf5_file.h"

#include <fmt/format.h>
#include <algorithm>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep::data::hdf5 {
namespace {

constexpr hsize_t kChunkElements = 64 * 1024;
constexpr std::size_t kImageGrowthBytes = 16 << 20;

std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Returns HDF5's own description of the innermost cause of its last error.
std::string cause() {
  std::string text;
  const auto take_first = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    auto& first = *static_cast<std::string*>(out);
    if (first.empty() && error->desc != nullptr) first = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &text);
  return text.empty() ? "no reason given" : text;
}

template <typename Failure = Error, typename Result>
Result checked(Result result, const std::string& name, const std::string& operation, std::string_view remedy = "") {
  if (result < 0) throw Failure(fmt::format("{}: HDF5 cannot {}: {}{}", name, operation, cause(), remedy));
  return result;
}

// Checks an operation on an existing shard: its failure is an InputError with a remedy.
template <typename Result>
Result checked_input(Result result, const std::string& name, const std::string& operation) {
  return checked<InputError>(result, name, operation, "; check the disk, or run lockstep-prep again");
}

Handle property_list(hid_t kind, const std::string& name) {
  return {checked(H5Pcreate(kind), name, "make a property list"), H5Pclose};
}

Handle create_image(const std::string& name) {
  const Handle access = property_list(H5P_FILE_ACCESS, name);
  checked(H5Pset_fapl_core(access, kImageGrowthBytes, false), name, "compose a file in memory");
  const Handle creation = property_list(H5P_FILE_CREATE, name);
  return {checked(H5Fcreate(name.c_str(), H5F_ACC_TRUNC, creation, access), name, "compose a file in memory"),
          H5Fclose};
}

Handle open_for_reading(const std::string& name) {
  const Handle access = property_list(H5P_FILE_ACCESS, name);
  checked(H5Pset_file_locking(access, false, true), name, "disable file locking");
  return {checked_input(H5Fopen(name.c_str(), H5F_ACC_RDONLY, access), name, "open the file"), H5Fclose};
}

}  // namespace

Lock::Lock() : lock_(library_mutex()) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread in thread-safe builds of HDF5
}

ImageFile::ImageFile(std::string name) : name_(std::move(name)), file_(create_image(name_)) {}

void ImageFile::make_group(const std::string& path) {
  const Handle creation = property_list(H5P_GROUP_CREATE, name_);
  // Without time stamps, so that the same data gives the same bytes.
  checked(H5Pset_obj_track_times(creation, false), name_, "leave time stamps out");
  const Handle group{
      checked(H5Gcreate2(file_, path.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), name_, "make the group " + path),
      H5Gclose};
}

void ImageFile::write(const std::string& path, hid_t file_type, hid_t memory_type, const void* data, std::size_t size,
                      int compression) {
  const hsize_t extent = size;
  const hsize_t chunk = std::clamp<hsize_t>(extent, 1, kChunkElements);
  const Handle space{checked(H5Screate_simple(1, &extent, nullptr), name_, "make a dataspace"), H5Sclose};
  const Handle creation = property_list(H5P_DATASET_CREATE, name_);
  // Without time stamps, so that the same data gives the same bytes.
  checked(H5Pset_obj_track_times(creation, false), name_, "leave time stamps out");
  checked(H5Pset_chunk(creation, 1, &chunk), name_, "set chunks");
  if (compression > 0) {
    checked(H5Pset_shuffle(creation), name_, "set the shuffle filter");
    checked(H5Pset_deflate(creation, static_cast<unsigned>(compression)), name_, "set compression");
  }
  checked(H5Pset_fletcher32(creation), name_, "set checksums");
  const Handle array{checked(H5Dcreate2(file_, path.c_str(), file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                             name_, "make the array " + path),
                     H5Dclose};
  if (size == 0) return;
  checked(H5Dwrite(array, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), name_, "write the array " + path);
}

void ImageFile::write(const std::string& path, std::span<const std::uint16_t> values, int compression) {
  write(path, H5T_STD_U16LE, H5T_NATIVE_UINT16, values.data(), values.size(), compression);
}

void ImageFile::write(const std::string& path, std::span<const std::uint32_t> values, int compression) {
  write(path, H5T_STD_U32LE, H5T_NATIVE_UINT32, values.data(), values.size(), compression);
}

void ImageFile::write(const std::string& path, std::span<const std::uint64_t> values, int compression) {
  write(path, H5T_STD_U64LE, H5T_NATIVE_UINT64, values.data(), values.size(), compression);
}

void ImageFile::write_attribute(const std::string& key, std::uint64_t value) {
  const Handle space{checked(H5Screate(H5S_SCALAR), name_, "make a dataspace"), H5Sclose};
  const Handle attribute{checked(H5Acreate2(file_, key.c_str(), H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT), name_,
                                 "make the attribute " + key),
                         H5Aclose};
  checked(H5Awrite(attribute, H5T_NATIVE_UINT64, &value), name_, "write the attribute " + key);
}

void ImageFile::write_attribute(const std::string& key, const std::string& value) {
  const Handle type{checked(H5Tcopy(H5T_C_S1), name_, "make a type"), H5Tclose};
  checked(H5Tset_size(type, std::max<std::size_t>(1, value.size())), name_, "make a type");
  checked(H5Tset_strpad(type, H5T_STR_NULLPAD), name_, "make a type");
  checked(H5Tset_cset(type, H5T_CSET_UTF8), name_, "make a type");
  const Handle space{checked(H5Screate(H5S_SCALAR), name_, "make a dataspace"), H5Sclose};
  const Handle attribute{checked(H5Acreate2(file_, key.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), name_,
                                 "make the attribute " + key),
                         H5Aclose};
  checked(H5Awrite(attribute, type, value.c_str()), name_, "write the attribute " + key);
}

std::string ImageFile::image() {
  checked(H5Fflush(file_, H5F_SCOPE_GLOBAL), name_, "compose the file");
  const ssize_t size = checked(H5Fget_file_image(file_, nullptr, 0), name_, "compose the file");
  std::string bytes(static_cast<std::size_t>(size), '\0');
  checked(H5Fget_file_image(file_, bytes.data(), bytes.size()), name_, "compose the file");
  return bytes;
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()), file_(open_for_reading(name_)) {}

template <typename T>
std::vector<T> InputFile::read(const std::string& path, hid_t memory_type) const {
  const Handle array{checked_input(H5Dopen2(file_, path.c_str(), H5P_DEFAULT), name_, "find the array " + path),
                     H5Dclose};
  const Handle space{checked(H5Dget_space(array), name_, "read the shape of " + path), H5Sclose};
  const Handle type{checked(H5Dget_type(array), name_, "read the type of " + path), H5Tclose};
  if (H5Sget_simple_extent_ndims(space) != 1 || H5Tget_size(type) != sizeof(T) || H5Tget_class(type) != H5T_INTEGER) {
    throw InputError(
        fmt::format("{}: {}: expected a one-dimensional array of {}-byte integers, found another; run "
                    "lockstep-prep again",
                    name_, path, sizeof(T)));
  }
  std::vector<T> values(static_cast<std::size_t>(checked(H5Sget_simple_extent_npoints(space), name_, "read " + path)));
  if (!values.empty()) {
    checked_input(H5Dread(array, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), name_,
                  "read the array " + path);
  }
  return values;
}

std::vector<std::uint16_t> InputFile::read_uint16(const std::string& path) const {
  return read<std::uint16_t>(path, H5T_NATIVE_UINT16);
}

std::vector<std::uint32_t> InputFile::read_uint32(const std::string& path) const {
  return read<std::uint32_t>(path, H5T_NATIVE_UINT32);
}

std::vector<std::uint64_t> InputFile::read_uint64(const std::string& path) const {
  return read<std::uint64_t>(path, H5T_NATIVE_UINT64);
}

}  // namespace lockstep::data::hdf5
