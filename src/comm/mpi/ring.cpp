#include "comm/mpi/ring.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <fmt/format.h>
#include <algorithm>
#include <span>
#include <utility>

#include "comm/mpi/mpi_check.h"
#include "lockstep/comm/communicator.h"
#include "lockstep/core/error.h"

namespace lockstep::comm {
namespace {

template <typename T>
void add(void* into, const void* from, std::int64_t elements) {
  auto* sum = static_cast<T*>(into);
  const auto* value = static_cast<const T*>(from);
  for (std::int64_t i = 0; i < elements; ++i) sum[i] += value[i];
}

auto adder_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return &add<float>;
    case at::kDouble:
      return &add<double>;
    case at::kLong:
      return &add<std::int64_t>;
    case at::kBFloat16:
      return &add<c10::BFloat16>;
    case at::kHalf:
      return &add<c10::Half>;
    default:
      throw Error(fmt::format("expected fp32, fp64, int64, bf16 or fp16 to sum, found {}", toString(type)));
  }
}

}  // namespace

RingBuffers::Buffer RingBuffers::take(std::size_t bytes) {
  Buffer buffer;
  if (!spare_.empty()) {
    // Takes the smallest buffer that is large enough, else the largest, which is replaced.
    const auto fits_better = [&](const Buffer& a, const Buffer& b) {
      const bool a_fits = a.size() >= bytes, b_fits = b.size() >= bytes;
      return a_fits == b_fits ? (a_fits ? a.size() < b.size() : a.size() > b.size()) : a_fits;
    };
    const auto best = std::ranges::min_element(spare_, fits_better);
    buffer = std::move(*best);
    spare_.erase(best);
  }
  if (buffer.size() < bytes) buffer = Buffer(bytes);
  return buffer;
}

Ring::Ring(const at::Tensor& tensor, Phases phases, MPI_Comm communicator, int first_tag, RingBuffers& buffers,
           std::int64_t piece_bytes)
    : tensor_(tensor.view(-1)), communicator_(communicator), first_tag_(first_tag), buffers_(buffers) {
  MPI_CHECK(MPI_Comm_rank(communicator, &rank_));
  MPI_CHECK(MPI_Comm_size(communicator, &world_size_));
  const int round = world_size_ - 1;
  if (phases != Phases::kAllGather) {
    reducing_steps_ = round;
    add_ = adder_of(tensor.scalar_type());
  }
  steps_ = phases == Phases::kBoth ? 2 * round : round;
  const auto part_bytes = static_cast<std::int64_t>(tensor.nbytes()) / world_size_;
  pieces_ = std::max<std::int64_t>(1, (part_bytes + piece_bytes - 1) / piece_bytes);
  const int lanes = static_cast<int>(std::min<std::int64_t>(pieces_, kMaxLanes));
  for (int i = 0; i < lanes; ++i) lanes_.push_back({.index = i, .piece = i});
  requests_.resize(lanes_.size() * kMessages, MPI_REQUEST_NULL);
  ended_.resize(requests_.size());
}

// Polls all lanes at once, because every poll makes MPI query the system.
Ring::State Ring::advance() {
  if (steps_ == 0) return State::kDone;
  if (!std::exchange(has_begun_, true)) {
    for (Lane& lane : lanes_) begin_step(lane);
  }
  for (State state = State::kStuck;; state = State::kMoved) {
    int count = 0;
    MPI_CHECK(
        MPI_Testsome(static_cast<int>(requests_.size()), requests_.data(), &count, ended_.data(), MPI_STATUSES_IGNORE));
    if (count == MPI_UNDEFINED) return State::kDone;
    if (count == 0) return state;
    for (const int request : std::span(ended_).first(static_cast<std::size_t>(count))) {
      Lane& lane = lanes_[static_cast<std::size_t>(request / kMessages)];
      if (--lane.awaited == 0) end_step(lane);
    }
  }
}

// While reducing, rank r sends range r - 1 first, so that after p - 1 steps it has summed its own. While gathering, it
// sends its own first.
int Ring::sent_part(int step) const { return reduces(step) ? rank_ - 1 - step : rank_ - (step - reducing_steps_); }

void Ring::begin_step(Lane& lane) {
  const Chunk sent = chunk(lane, sent_part(lane.step));
  const Chunk received = chunk(lane, sent_part(lane.step) - 1);
  const auto size = static_cast<std::int64_t>(tensor_.element_size());
  std::byte* into = received.data;
  if (reduces(lane.step)) {
    lane.incoming = buffers_.take(static_cast<std::size_t>(received.elements * size));
    into = lane.incoming.data();
  }
  const int tag = first_tag_ + lane.index;
  const int left = (rank_ + world_size_ - 1) % world_size_, right = (rank_ + 1) % world_size_;
  MPI_Request* const requests = &requests_[static_cast<std::size_t>(lane.index) * kMessages];
  MPI_CHECK(
      MPI_Irecv(into, static_cast<int>(received.elements * size), MPI_BYTE, left, tag, communicator_, &requests[0]));
  MPI_CHECK(
      MPI_Isend(sent.data, static_cast<int>(sent.elements * size), MPI_BYTE, right, tag, communicator_, &requests[1]));
  lane.awaited = kMessages;
}

void Ring::end_step(Lane& lane) {
  if (reduces(lane.step)) {
    const Chunk received = chunk(lane, sent_part(lane.step) - 1);
    add_(received.data, lane.incoming.data(), received.elements);
    buffers_.give_back(std::move(lane.incoming));
  }
  if (++lane.step == steps_) {
    lane.step = 0;
    lane.piece += static_cast<std::int64_t>(lanes_.size());
  }
  if (lane.piece < pieces_) begin_step(lane);
}

Ring::Chunk Ring::chunk(const Lane& lane, int owner) const {
  const Range part = range_of(tensor_.numel(), (owner % world_size_ + world_size_) % world_size_, world_size_);
  const std::int64_t begin = part.begin + part.size() * lane.piece / pieces_;
  const std::int64_t end = part.begin + part.size() * (lane.piece + 1) / pieces_;
  return {static_cast<std::byte*>(tensor_.data_ptr()) + begin * static_cast<std::int64_t>(tensor_.element_size()),
          end - begin};
}

}  // namespace lockstep::comm
