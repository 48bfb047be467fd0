#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>
#include <functional>

#include "comm/mpi/mpi_check.h"

namespace lockstep::comm {

/// A collective that makes progress whenever advance() is called.
class MpiOperation {
 public:
  virtual ~MpiOperation() = default;
  enum class State { kStuck, kMoved, kDone };
  /// Does what can be done without waiting. Returns whether that was nothing, something, or all that was left. Throws
  /// Error if MPI fails.
  virtual State advance() = 0;
};

/// One of MPI's own nonblocking collectives.
class MpiRequest final : public MpiOperation {
 public:
  /// `begin` starts the collective; `tensor` is kept alive as long as this object.
  MpiRequest(const std::function<int(MPI_Request*)>& begin, at::Tensor tensor) : tensor_(std::move(tensor)) {
    MPI_CHECK(begin(&request_));
  }

  State advance() override {
    int done = 0;
    MPI_CHECK(MPI_Test(&request_, &done, MPI_STATUS_IGNORE));
    return done != 0 ? State::kDone : State::kStuck;
  }

 private:
  at::Tensor tensor_;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

}  // namespace lockstep::comm
