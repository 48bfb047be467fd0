#include "lockstep/models/weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

#include "lockstep/core/error.h"

namespace lockstep::models {

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
  const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) core::throw_system_error("open", path_, errno);
  struct stat status {};
  ::fstat(descriptor, &status);
  size_ = static_cast<std::uint64_t>(status.st_size);
  void* mapping = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0) : nullptr;
  const int error_number = errno;
  ::close(descriptor);
  if (mapping == MAP_FAILED) core::throw_system_error("map into memory", path_, error_number);
  data_ = static_cast<const char*>(mapping);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

}  // namespace lockstep::models
