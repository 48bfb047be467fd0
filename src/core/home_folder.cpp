#include "lockstep/core/home_folder.h"

#include <fmt/format.h>
#include <cstdlib>

#include "lockstep/core/error.h"

namespace lockstep::core {

std::string expand_home(const std::string& path) {
  if (!path.starts_with('~')) return path;
  const char* home = std::getenv("HOME");
  if (path.size() > 1 && path[1] != '/') {
    throw InputError(fmt::format(
        "{}: expected ~/ for the home folder, found ~ before a name; write the whole path, or ./{} for that name", path,
        path));
  }
  if (home == nullptr || *home == '\0') {
    throw InputError(fmt::format("{}: expected a home folder, found that HOME is not set; write the whole path", path));
  }
  return home + path.substr(1);
}

}  // namespace lockstep::core
