#include "lockstep/comm/placement.h"

#include <gmock/gmock.h>
#include <sched.h>

namespace lockstep::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Placement, OfThisProcessIsWhatItMayUse) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  int last = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &before)) last = core;
  }
  CPU_ZERO(&one);
  CPU_SET(last, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  const Placement placement = own_placement(3);
  ::sched_setaffinity(0, sizeof before, &before);
  EXPECT_THAT(placement.cores, ElementsAre(last));
  EXPECT_EQ(placement.threads, 3);
  EXPECT_EQ(own_placement(1).cores.size(), static_cast<std::size_t>(CPU_COUNT(&before)));
}

TEST(Placement, CoresAreWrittenAsTheKernelWritesThem) {
  EXPECT_EQ(describe_cores({}), "");
  EXPECT_EQ(describe_cores({5}), "5");
  EXPECT_EQ(describe_cores({0, 1, 2, 4, 6, 7}), "0-2,4,6-7");
}

TEST(Oversubscription, ThreadsThatFitAreNone) {
  EXPECT_FALSE(find_oversubscription({}));
  EXPECT_FALSE(find_oversubscription({{"a", {0, 1}, 2}}));
  EXPECT_FALSE(find_oversubscription({{"a", {0, 1, 2, 3}, 2}, {"a", {0, 1, 2, 3}, 2}}));  // shared
  EXPECT_FALSE(find_oversubscription({{"a", {0, 1}, 2}, {"a", {2, 3}, 2}}));              // separate cores
  EXPECT_FALSE(find_oversubscription({{"a", {0, 1}, 2}, {"b", {0, 1}, 2}}));              // separate hosts
  EXPECT_FALSE(find_oversubscription({{"a", {0, 1}, 1}, {"a", {1, 2}, 1}, {"a", {0, 1, 2, 3, 4, 5}, 4}}));  // mixed
}

TEST(Oversubscription, OfRanksThatShareAllCores) {
  const auto found = find_oversubscription({{"a", {0, 1, 2, 3}, 2}, {"a", {0, 1, 2, 3}, 3}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "a");
  EXPECT_EQ(found->ranks, 2);
  EXPECT_EQ(found->threads, 5);
  EXPECT_THAT(found->cores, ElementsAre(0, 1, 2, 3));
}

TEST(Oversubscription, OfRanksThatAreBoundToCoresOfTheirOwn) {
  const auto found = find_oversubscription({{"a", {0, 1}, 4}, {"a", {2, 3}, 4}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ranks, 2);  // the two ranks are reported together
  EXPECT_EQ(found->threads, 8);
  EXPECT_THAT(found->cores, ElementsAre(0, 1, 2, 3));
}

// The host's eight cores suffice for its four threads, but two of these share one core.
TEST(Oversubscription, OfRanksThatAreBoundToOneCoreOfMany) {
  const auto found =
      find_oversubscription({{"b", {0, 1}, 2}, {"a", {0}, 1}, {"a", {0}, 1}, {"a", {0, 1, 2, 3, 4, 5, 6, 7}, 2}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "a");
  EXPECT_EQ(found->ranks, 2);
  EXPECT_THAT(found->cores, ElementsAre(0));
}

TEST(Oversubscription, OfTheMostCrowdedHost) {
  const auto found = find_oversubscription({{"a", {0, 1}, 3}, {"b", {0, 1}, 8}, {"c", {0, 1, 2, 3}, 16}});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "b");
}

TEST(Oversubscription, IsToldWithTheRemedy) {
  EXPECT_EQ(describe({"node7", 2, 16, {0, 1, 2, 3, 4, 5, 6, 7}}),
            "node7: 2 ranks compute with 16 threads on 8 cores (0-7), for which they compete: set "
            "threads_per_rank or OMP_NUM_THREADS to at most 4, or leave both out");
  EXPECT_THAT(describe({"node7", 3, 3, {1}}), HasSubstr("3 ranks compute with 3 threads on 1 core (1)"));
  EXPECT_THAT(describe({"node7", 3, 3, {1}}), HasSubstr("start at most 1 there"));
}

TEST(Texts, OfAProcessAloneIsItsOwn) {
  EXPECT_THAT(all_gather_texts(*make_communicator(), std::string("a\0\xff", 3)),
              ElementsAre(std::string("a\0\xff", 3)));
}

}  // namespace
}  // namespace lockstep::comm
