#pragma once

#include <exception>
#include <optional>
#include <random>
#include <string>

namespace lockstep::hub {

/// The pauses between the attempts of one request: they double from half a second on, up to 8 s, each shortened by a
/// random part, so that the many processes of a cluster do not all come back at once.
class Retries {
 public:
  /// `attempts`: in all, without progress between them.
  explicit Retries(int attempts);

  /// Waits before another attempt, `retry_after_s` if the server said so. False if no attempt is left, or if the server
  /// asks for more patience than five minutes. `why` is logged.
  bool wait(const std::string& why, std::optional<double> retry_after_s);
  /// There was progress: counts anew.
  void reset();

 private:
  int attempts_;
  int failed_ = 0;
  std::mt19937 generator_{std::random_device{}()};
};

}  // namespace lockstep::hub
