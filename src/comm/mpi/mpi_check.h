#pragma once

namespace lockstep::comm {

/// Throws Error with what MPI says of a call that failed; `call` is the expression's text.
void check_mpi(int status, const char* call);

}  // namespace lockstep::comm

#define MPI_CHECK(call) ::lockstep::comm::check_mpi((call), #call)
