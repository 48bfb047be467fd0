#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/sharding/parameter_layout.h"

namespace lockstep::sharding {

struct ReducerOptions {
  /// Holds a bucket of gradients only while a backward pass fills it, and only this rank's range of the sums (stage 2
  /// of ZeRO, Rajbhandari et al. 2020). Every backward pass is then reduced separately.
  bool frees_buckets = false;
  /// Type of the messages: kFloat or kBFloat16.
  at::ScalarType message_type = at::kFloat;
};

/// Sums gradients over ranks while backward runs. The gradients are stored in the buckets of the layout, which are
/// reduced one by one as autograd completes them, in an order that all ranks share: at first from the last bucket to
/// the first, then in the order in which rank 0 completed them (modelled on PyTorch's DistributedDataParallel, Li et
/// al. 2020).
///
/// A step calls zero(); then, equally often on each rank, begin_pass(), a backward pass or none, and end_pass(); then
/// finish().
class GradientReducer {
 public:
  /// Maximum number of reductions in flight if buckets are freed; one more bucket fills meanwhile.
  static constexpr std::size_t kMaxInFlight = 4;

  /// Hooks into the accumulation of the gradients of `layout` until it is destroyed. If buckets are not freed, a
  /// parameter's gradient is a view of its bucket, so that backward passes add to the bucket directly.
  GradientReducer(const ParameterLayout& layout, Ownership ownership, std::shared_ptr<Communicator> communicator,
                  const ReducerOptions& options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  void zero();
  void begin_pass(bool is_last_of_step);
  /// Also reduces the buckets that the pass did not complete.
  void end_pass();
  /// Waits for the sums. Ranks that own the same elements then hold the same bits.
  void finish();

  /// Returns the sums that this rank owns: a flat fp32 tensor for each bucket.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }
  /// Returns the Euclidean norm of all gradients together, the same on every rank. Communicates if the ranks share the
  /// gradients.
  double norm();
  /// Multiplies gradients() by `factor`.
  void scale(double factor);
  /// Returns the parameters that the last reduced backward pass of this rank did not reach.
  std::vector<std::string> unused_parameters() const;

 private:
  struct Hooks;
  struct Bucket {
    at::Tensor buffer;           // undefined while freed
    std::size_t parameters = 0;  // in this bucket
    std::size_t awaited = 0;     // of them, incomplete in this pass
  };
  struct Reduction {
    std::size_t bucket;
    at::Tensor message;
    std::shared_ptr<comm::PendingCollective> collective;
  };

  void on_gradient(std::size_t entry);
  /// Begins to reduce the next buckets in order_, up to the first that is incomplete.
  void launch_complete();
  void launch(std::size_t bucket);
  /// Waits for the oldest reduction in flight, and stores the sums.
  void finish_oldest();
  at::Tensor& buffer_of(std::size_t bucket);
  void broadcast_order();

  const ParameterLayout layout_;
  const Ownership ownership_;
  const std::shared_ptr<Communicator> communicator_;
  const ReducerOptions options_;
  std::vector<Bucket> buckets_;
  std::vector<at::Tensor> gradients_;
  std::vector<bool> reached_;           // entries, in this pass
  std::vector<std::size_t> order_;      // of launching buckets
  std::vector<std::size_t> completed_;  // buckets in the order of completion in the first pass
  bool has_agreed_ = false;
  bool is_reducing_ = false;  // whether the current pass is reduced
  std::size_t launched_ = 0;  // of order_, in this pass
  std::deque<Reduction> in_flight_;
  std::multimap<std::int64_t, at::Tensor> buffer_pool_;  // of freed buckets, by size
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace lockstep::sharding
