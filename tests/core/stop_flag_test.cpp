#include "lockstep/core/stop_flag.h"

#include <gmock/gmock.h>
#include <unistd.h>
#include <csignal>

namespace lockstep::core {
namespace {

using testing::ExitedWithCode;
using testing::KilledBySignal;
using testing::ThrowsMessage;

// Every test runs in its own process, whose flag is not set.
class StopFlag : public testing::Test {
 protected:
  StopFlag() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Exits with code 0 if `condition` holds, else with 1.
[[noreturn]] void leave_if(bool condition) { ::_exit(condition ? 0 : 1); }

TEST_F(StopFlag, IsSetByEachOfTheSignals) {
  for (const StopSignal& signal : kStopSignals) {
    EXPECT_EXIT(
        {
          install_stop_signals();
          const bool was_unset = stop_signal() == 0;
          std::raise(signal.number);
          leave_if(was_unset && stop_signal() == signal.number);
        },
        ExitedWithCode(0), "")
        << signal.name;
  }
}

TEST_F(StopFlag, KeepsTheFirstSignal) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        for (const int signal : {SIGUSR1, SIGTERM, SIGINT, SIGTERM, SIGUSR1}) std::raise(signal);
        leave_if(stop_signal() == SIGUSR1);
      },
      ExitedWithCode(0), "");
}

TEST_F(StopFlag, TheSecondSigintEndsTheProcess) {
  EXPECT_EXIT(
      {
        install_stop_signals();
        std::raise(SIGTERM);
        std::raise(SIGINT);
        std::raise(SIGINT);
        leave_if(true);
      },
      KilledBySignal(SIGINT), "");
}

TEST_F(StopFlag, WithoutItSignalsEndTheProcess) {
  for (const StopSignal& signal : kStopSignals) {
    EXPECT_EXIT(
        {
          std::raise(signal.number);
          leave_if(true);
        },
        KilledBySignal(signal.number), "")
        << signal.name;
  }
}

TEST_F(StopFlag, EndsTheWorkOfOneRank) {
  EXPECT_NO_THROW(check_stop_signal("nothing was written"));
  EXPECT_EXIT(
      {
        install_stop_signals();
        std::raise(SIGTERM);
        EXPECT_THAT([] { check_stop_signal("nothing was written"); },
                    ThrowsMessage<Stopped>("stopped: SIGTERM; nothing was written"));
        leave_if(!testing::Test::HasFailure());
      },
      ExitedWithCode(0), "");
}

}  // namespace
}  // namespace lockstep::core
