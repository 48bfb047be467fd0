#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "comm/mpi/mpi_operation.h"

namespace lockstep::comm {

/// Memory for what arrives, kept from ring to ring: new pages would cost as much as the messages in them.
class RingBuffers {
 public:
  using Buffer = std::vector<std::byte>;
  /// Of at least `bytes`.
  Buffer take(std::size_t bytes);
  void give_back(Buffer buffer) { spare_.push_back(std::move(buffer)); }

 private:
  std::vector<Buffer> spare_;
};

/// Sums or gathers a tensor along the ring of ranks: bandwidth-optimal (Patarasuk and Yuan 2009), in the same order of
/// sums in every run, so that the same bits come out, whether a sum is gathered at once or later.
class Ring final : public MpiOperation {
 public:
  enum class Passes {
    reduce_scatter,  // afterwards this rank's part holds the sum, the other parts nothing of use
    all_gather,      // afterwards every part is that of the rank it belongs to
    both,
  };

  /// On the contiguous host tensor `tensor` of fp32, fp64, int64, bf16 or fp16, in place. All ranks give the same
  /// `first_tag`; kMaxLanes tags from there on are the ring's. `buffers` outlive it. `piece_bytes`: of a message, at
  /// most.
  Ring(const at::Tensor& tensor, Passes passes, MPI_Comm communicator, int first_tag, RingBuffers& buffers,
       std::int64_t piece_bytes);

  State advance() override;

  static constexpr int kMaxLanes = 16;

 private:
  static constexpr int kMessages = 2;  // of a step: one comes, one goes
  using Add = void (*)(void* into, const void* from, std::int64_t elements);
  struct Chunk {
    std::byte* data;
    std::int64_t elements;
  };

  /// Takes its turn of the pieces of every part round, one after the other, so that sums overlap with messages.
  struct Lane {
    int index;
    std::int64_t piece;
    int step = 0;
    int awaited = 0;                    // messages of this step
    RingBuffers::Buffer incoming = {};  // while it sums
  };

  void begin_step(Lane& lane);
  void end_step(Lane& lane);
  /// The piece that `lane` is at, of the part of rank `owner`, any integer modulo the number of ranks.
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
  std::int64_t pieces_ = 1;  // of every part
  Add add_ = nullptr;
  bool has_begun_ = false;
  std::vector<Lane> lanes_;
  std::vector<MPI_Request> requests_;  // kMessages of each lane
  std::vector<int> ended_;             // of them, while they are looked at
};

}  // namespace lockstep::comm
