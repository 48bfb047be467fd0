#pragma once

namespace lockstep {

/// Throws Error with what MPI says of a call that failed; `call` is the expression's text.
void check_mpi(int status, const char* call);

}  // namespace lockstep

#define MPI_CHECK(call) ::lockstep::check_mpi((call), #call)
