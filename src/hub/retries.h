#pragma once

#include <exception>
#include <optional>
#include <random>
#include <string>

namespace lockstep::hub {

/// Pauses between the attempts of one request. The pauses double from half a second up to 8 s, each shortened by a
/// random part, so that the many processes of a cluster do not all retry at once.
class Retries {
 public:
  /// Allows `attempts` attempts in all without progress in between.
  explicit Retries(int attempts);

  /// Sleeps before another attempt, at least `retry_after_s` if the server gave it, and logs `why`. Returns false at
  /// once if no attempt is left or the server asks for more than five minutes. Throws Stopped if a stop signal came.
  bool wait(const std::string& why, std::optional<double> retry_after_s);
  /// Resets the count of failed attempts, because there was progress.
  void reset();

 private:
  int attempts_;
  int failed_ = 0;
  std::mt19937 generator_{std::random_device{}()};
};

}  // namespace lockstep::hub
