#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "comm/mpi/mpi_operation.h"

namespace lockstep::comm {

/// Receive buffers, kept from ring to ring: new pages would cost as much as the messages in them.
class RingBuffers {
 public:
  using Buffer = std::vector<std::byte>;
  /// Returns a buffer of at least `bytes`.
  Buffer take(std::size_t bytes);
  void give_back(Buffer buffer) { spare_.push_back(std::move(buffer)); }

 private:
  std::vector<Buffer> spare_;
};

/// Sums or gathers a tensor along the ring of ranks. The algorithm is bandwidth-optimal (Patarasuk and Yuan 2009) and
/// adds in the same order in every run, so that the result has the same bits, whether a sum is gathered at once or
/// later.
class Ring final : public MpiOperation {
 public:
  enum class Phases {
    kReduceScatter,  // afterwards this rank's range holds the sum; the others are unspecified
    kAllGather,      // afterwards every range holds its owner's values
    kBoth,
  };

  /// Works in place on the contiguous host tensor `tensor` of fp32, fp64, int64, bf16 or fp16. All ranks pass the same
  /// `first_tag`; the ring uses kMaxLanes tags from there on. `buffers` must outlive the ring. `piece_bytes` is the
  /// maximum size of a message.
  Ring(const at::Tensor& tensor, Phases phases, MPI_Comm communicator, int first_tag, RingBuffers& buffers,
       std::int64_t piece_bytes);

  State advance() override;

  static constexpr int kMaxLanes = 16;

 private:
  static constexpr int kMessages = 2;  // of a step: one received, one sent
  using Add = void (*)(void* into, const void* from, std::int64_t elements);
  struct Chunk {
    std::byte* data;
    std::int64_t elements;
  };

  /// Sends every n-th piece of every range around the ring, one after the other, where n is the number of lanes. With
  /// several lanes, sums overlap with messages.
  struct Lane {
    int index;
    std::int64_t piece;
    int step = 0;
    int awaited = 0;                    // messages of this step in flight
    RingBuffers::Buffer incoming = {};  // received, not yet added
  };

  void begin_step(Lane& lane);
  void end_step(Lane& lane);
  /// Returns the piece that `lane` is at, in the range of rank `owner`, which is taken modulo the number of ranks.
  Chunk chunk(const Lane& lane, int owner) const;
  bool reduces(int step) const { return step < reducing_steps_; }
  int sent_part(int step) const;

  at::Tensor tensor_;
  MPI_Comm communicator_;
  int rank_ = 0;
  int world_size_ = 1;
  int first_tag_;
  RingBuffers& buffers_;
  int reducing_steps_ = 0;
  int steps_ = 0;
  std::int64_t pieces_ = 1;  // of every range
  Add add_ = nullptr;
  bool has_begun_ = false;
  std::vector<Lane> lanes_;
  std::vector<MPI_Request> requests_;  // kMessages of each lane
  std::vector<int> ended_;             // indices into requests_, for advance()
};

}  // namespace lockstep::comm
