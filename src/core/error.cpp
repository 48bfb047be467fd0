#include "lockstep/core/error.h"

#include <fmt/format.h>
#include <cerrno>
#include <cstring>

namespace lockstep::core {

void throw_system_error(const std::string& operation, const std::string& path, int error_number) {
  const std::string message = fmt::format("{}: cannot {}: {}", path, operation, std::strerror(error_number));
  switch (error_number) {
    case ENOENT:
      throw InputError(message + "; check the path");
    case EACCES:
    case EPERM:
    case EROFS:
      throw InputError(message + "; check its permissions, or give another path");
    case EISDIR:
    case ENOTDIR:
      throw InputError(message);
    case ENOSPC:
    case EDQUOT:
      throw Error(message + "; free some space, or write to another disk");
    default:
      throw Error(message);
  }
}

}  // namespace lockstep::core
