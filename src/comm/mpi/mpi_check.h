#pragma once

namespace lockstep::comm {

/// Throws Error with MPI's message if a call failed; `call` is the text of the expression.
void check_mpi(int status, const char* call);

}  // namespace lockstep::comm

#define MPI_CHECK(call) ::lockstep::comm::check_mpi((call), #call)
