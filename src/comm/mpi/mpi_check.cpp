#include "comm/mpi/mpi_check.h"

#include <fmt/format.h>
#include <mpi.h>
#include <array>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep::comm {

void check_mpi(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(status, text.data(), &length);
  throw Error(fmt::format("{}: {}", call, std::string_view(text.data(), static_cast<std::size_t>(length))));
}

}  // namespace lockstep::comm
