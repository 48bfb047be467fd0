#pragma once

#include <hdf5.h>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// The part of HDF5 that shards need, with handles that close themselves and errors as exceptions.
namespace lockstep::data::hdf5 {

/// Must be held around every use of HDF5, whose usual builds are not thread-safe. Also keeps HDF5 from printing its
/// error stack.
class Lock {
 public:
  Lock();

 private:
  std::unique_lock<std::mutex> lock_;
};

/// An HDF5 identifier that the destructor closes.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }  // lets a handle be passed where HDF5 expects an id

 private:
  hid_t id_;
  Close close_;
};

/// An HDF5 file that is composed in memory.
class ImageFile {
 public:
  /// `name` is used in error messages.
  explicit ImageFile(std::string name);

  void make_group(const std::string& path);
  /// Writes a one-dimensional array: chunked, little-endian, with Fletcher32 checksums, and deflated if `compression`
  /// is above 0.
  void write(const std::string& path, std::span<const std::uint16_t> values, int compression);
  void write(const std::string& path, std::span<const std::uint32_t> values, int compression);
  void write(const std::string& path, std::span<const std::uint64_t> values, int compression);
  void write_attribute(const std::string& key, std::uint64_t value);
  void write_attribute(const std::string& key, const std::string& value);

  /// Returns the bytes of the file.
  std::string image();

 private:
  void write(const std::string& path, hid_t file_type, hid_t memory_type, const void* data, std::size_t size,
             int compression);

  std::string name_;
  Handle file_;
};

/// An HDF5 file on disk, opened for reading without file locking.
class InputFile {
 public:
  /// Opens `path`. Throws InputError if it cannot be opened or is not an HDF5 file.
  explicit InputFile(const std::filesystem::path& path);

  /// Reads an array. Throws InputError if it is missing, has another type, or fails its checksum.
  std::vector<std::uint16_t> read_uint16(const std::string& path) const;
  std::vector<std::uint32_t> read_uint32(const std::string& path) const;
  std::vector<std::uint64_t> read_uint64(const std::string& path) const;

 private:
  template <typename T>
  std::vector<T> read(const std::string& path, hid_t memory_type) const;

  std::string name_;
  Handle file_;
};

}  // namespace lockstep::data::hdf5
