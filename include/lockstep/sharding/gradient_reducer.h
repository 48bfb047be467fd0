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
  /// Holds a bucket of gradients only while a backward pass is at it, and of the sums what this rank owns (the second
  /// stage of ZeRO, Rajbhandari et al. 2020). Every backward pass is then reduced by itself.
  bool frees_buckets = false;
  /// Of the messages: kFloat or kBFloat16.
  at::ScalarType message_type = at::kFloat;
};

/// Sums gradients over ranks while backward still runs. Parameters' gradients lie in the buckets of the layout, which
/// are reduced one by one as autograd completes them, in an order that all ranks share: at first from the last layer to
/// the first, then as rank 0 saw them complete (after PyTorch's DistributedDataParallel, Li et al. 2020).
///
/// A step: zero(); then, as often on each rank, begin_pass(), a backward pass or none, end_pass(); then finish().
class GradientReducer {
 public:
  /// Buckets that may be under way at a time where they are freed; one more fills meanwhile.
  static constexpr std::size_t kMostUnderWay = 4;

  /// Hooks on to the accumulation of the gradients of `layout` until it is destroyed. Where buckets are not freed, a
  /// parameter's gradient is a view of its bucket, so that backward passes add into it directly.
  GradientReducer(const ParameterLayout& layout, Ownership ownership, std::shared_ptr<Communicator> communicator,
                  const ReducerOptions& options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  void zero();
  void begin_pass(bool is_last_of_step);
  /// Sends on what the pass did not reach.
  void end_pass();
  /// Waits for the sums. Every rank then holds the same bits of what it owns.
  void finish();

  /// The sums that this rank owns, a flat fp32 tensor for each bucket.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }
  /// The Euclidean norm of all ranks' gradients together, the same on every rank. Communicates where they share them.
  double norm();
  /// Multiplies gradients() by `factor`.
  void scale(double factor);
  /// Parameters that the last reduced backward pass on this rank did not reach.
  std::vector<std::string> unused_parameters() const;

 private:
  struct Hooks;
  struct Bucket {
    at::Tensor buffer;           // undefined while it is freed
    std::size_t parameters = 0;  // that lie in it
    std::size_t awaited = 0;     // of them, not yet complete in this pass
  };
  struct Reduction {
    std::size_t bucket;
    at::Tensor message;
    std::shared_ptr<comm::PendingCollective> collective;
  };

  void on_gradient(std::size_t entry);
  /// Begins the reduction of the buckets whose turn it is, as far as they are complete.
  void launch_complete();
  void launch(std::size_t bucket);
  /// Waits for the reduction that began first, and puts the sums where they belong.
  void settle_first();
  at::Tensor& buffer_of(std::size_t bucket);
  void agree_on_order();

  const ParameterLayout layout_;
  const Ownership ownership_;
  const std::shared_ptr<Communicator> communicator_;
  const ReducerOptions options_;
  std::vector<Bucket> buckets_;
  std::vector<at::Tensor> gradients_;
  std::vector<bool> reached_;           // entries, in this pass
  std::vector<std::size_t> order_;      // of launching
  std::vector<std::size_t> completed_;  // buckets as they were complete in the first pass
  bool has_agreed_ = false;
  bool is_reducing_ = false;  // in a pass that is reduced
  std::size_t launched_ = 0;  // of order_, in this pass
  std::deque<Reduction> under_way_;
  std::multimap<std::int64_t, at::Tensor> spare_buffers_;  // of buckets that are freed, by size
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace lockstep::sharding
