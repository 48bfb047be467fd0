// Run by mpirun: each of its ranks runs all tests.
#include "comm/mpi/ring.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "lockstep/comm/communicator.h"

namespace lockstep::comm {
namespace {

constexpr std::int64_t kPieceBytes = 64;  // so small that tensors of a kilobyte take several pieces a lane

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks_);
  }

  void run(const at::Tensor& tensor, Ring::Phases phases, std::int64_t piece_bytes = kPieceBytes) {
    Ring ring(tensor, phases, MPI_COMM_WORLD, 100, buffers_, piece_bytes);
    while (ring.advance() != MpiOperation::State::kDone) {
    }
  }

  // Small whole numbers, whose sums are exact in every type; other ones on each rank.
  static at::Tensor values(std::int64_t size, at::ScalarType type, int rank) {
    return (at::arange(size, at::kLong).remainder(7) + rank).to(type);
  }
  at::Tensor sum_of_ranks(std::int64_t size, at::ScalarType type) const {
    at::Tensor sum = at::zeros({size}, type);
    for (int rank = 0; rank < ranks_; ++rank) sum += values(size, type, rank);
    return sum;
  }
  at::Tensor own(const at::Tensor& tensor) const {
    const Range part = range_of(tensor.numel(), rank_, ranks_);
    return tensor.narrow(0, part.begin, part.size());
  }

  RingBuffers buffers_;
  int rank_ = 0, ranks_ = 1;
};

constexpr std::int64_t kSizes[] = {1, 15, 16, 17, 100, 1000, 4097, 30'001};
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kLong, at::kBFloat16, at::kHalf};

TEST_F(RingTest, SumsTensorsOfEverySizeAndType) {
  for (const auto type : kTypes) {
    for (const std::int64_t size : kSizes) {
      const at::Tensor tensor = values(size, type, rank_);
      run(tensor, Ring::Phases::kBoth);
      EXPECT_TRUE(tensor.equal(sum_of_ranks(size, type))) << size << " of " << toString(type);
    }
  }
}

TEST_F(RingTest, ScattersTheSumInParts) {
  for (const std::int64_t size : kSizes) {
    const at::Tensor tensor = values(size, at::kFloat, rank_);
    run(tensor, Ring::Phases::kReduceScatter);
    EXPECT_TRUE(own(tensor).equal(own(sum_of_ranks(size, at::kFloat)))) << size;
  }
}

TEST_F(RingTest, GathersThePartOfEveryRank) {
  for (const std::int64_t size : kSizes) {
    const at::Tensor tensor = at::full({size}, -1, at::kFloat);
    own(tensor).copy_(own(values(size, at::kFloat, 0)));
    run(tensor, Ring::Phases::kAllGather);
    EXPECT_TRUE(tensor.equal(values(size, at::kFloat, 0))) << size;
  }
}

TEST_F(RingTest, ASumHasTheSameBitsWhetherItIsGatheredAtOnceOrLaterAndInWhateverPieces) {
  at::manual_seed(static_cast<std::uint64_t>(rank_));
  const at::Tensor mine = at::randn({5000});
  const at::Tensor at_once = mine.clone(), later = mine.clone(), in_one_piece = mine.clone();
  run(at_once, Ring::Phases::kBoth);
  run(later, Ring::Phases::kReduceScatter);
  run(later, Ring::Phases::kAllGather);
  run(in_one_piece, Ring::Phases::kBoth, std::int64_t{1} << 30);
  EXPECT_TRUE(later.equal(at_once));
  EXPECT_TRUE(in_one_piece.equal(at_once));
}

TEST_F(RingTest, RingsOfOtherTagsAreUnderWayAtOnce) {
  const at::Tensor first = values(3000, at::kFloat, rank_), second = values(2000, at::kFloat, 10 + rank_);
  RingBuffers more;
  Ring a(first, Ring::Phases::kBoth, MPI_COMM_WORLD, 100, buffers_, kPieceBytes);
  Ring b(second, Ring::Phases::kBoth, MPI_COMM_WORLD, 100 + Ring::kMaxLanes, more, kPieceBytes);
  bool a_is_done = false, b_is_done = false;
  while (!a_is_done || !b_is_done) {  // other ranks begin with the other one
    if (!a_is_done && (rank_ % 2 == 0 || b_is_done)) a_is_done = a.advance() == MpiOperation::State::kDone;
    if (!b_is_done) b_is_done = b.advance() == MpiOperation::State::kDone;
    if (!a_is_done) a_is_done = a.advance() == MpiOperation::State::kDone;
  }
  EXPECT_TRUE(first.equal(sum_of_ranks(3000, at::kFloat)));
  EXPECT_TRUE(second.equal(sum_of_ranks(2000, at::kFloat) + 10 * ranks_));
}

TEST_F(RingTest, HoldsNoMoreThanAPieceOfEachLane) {
  const at::Tensor tensor = values(30'000, at::kFloat, rank_);
  run(tensor, Ring::Phases::kBoth);
  run(tensor, Ring::Phases::kBoth);
  std::vector<std::size_t> kept;
  for (RingBuffers::Buffer buffer = buffers_.take(0); !buffer.empty(); buffer = buffers_.take(0)) {
    kept.push_back(buffer.size());
  }
  EXPECT_EQ(kept.size(), ranks_ == 1 ? 0U : static_cast<std::size_t>(Ring::kMaxLanes));
  EXPECT_THAT(kept, testing::Each(testing::Le(static_cast<std::size_t>(kPieceBytes))));
}

TEST_F(RingTest, RefusesTypesThatItCannotSum) {
  const at::Tensor tensor = at::zeros({4}, at::kInt);
  EXPECT_THAT([&] { Ring(tensor, Ring::Phases::kBoth, MPI_COMM_WORLD, 100, buffers_, kPieceBytes); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("found Int")));
  EXPECT_NO_THROW(Ring(tensor, Ring::Phases::kAllGather, MPI_COMM_WORLD, 100, buffers_, kPieceBytes));
}

TEST(RingBuffers, GivesTheSmallestThatIsLongEnough) {
  RingBuffers buffers;
  for (const std::size_t bytes : {40, 10, 20}) buffers.give_back(RingBuffers::Buffer(bytes));
  EXPECT_EQ(buffers.take(15).size(), 20U);
  EXPECT_EQ(buffers.take(15).size(), 40U);
  EXPECT_EQ(buffers.take(15).size(), 15U) << "the one of 10 grows";
  EXPECT_EQ(buffers.take(5).size(), 5U);
}

}  // namespace
}  // namespace lockstep::comm

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  testing::InitGoogleTest(&count, arguments);
  const int code = RUN_ALL_TESTS();
  MPI_Finalize();
  return code;
}
