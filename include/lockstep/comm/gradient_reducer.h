#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/comm/parameter_layout.h"

namespace lockstep {

/// What each rank needs of the sums.
enum class ReducedGradients { everywhere, own_parts };

struct ReducerOptions {
  /// Gradients are reduced in stretches of about this size, each once it is complete.
  std::int64_t bucket_bytes = std::int64_t{25} << 20;
  ReducedGradients result = ReducedGradients::everywhere;
};

/// Sums gradients over ranks while backward still runs. Every parameter's gradient is a view of one flat buffer, so
/// that backward passes add into it directly; its stretches, the buckets, are reduced one by one as autograd completes
/// them, in an order that all ranks share: at first from the last layer to the first, then as rank 0 saw them complete
/// in the first step (after PyTorch's DistributedDataParallel, Li et al. 2020).
class GradientReducer {
 public:
  /// Gives every parameter of `layout` a zero gradient within the flat buffer, and hooks on to their accumulation until
  /// it is destroyed.
  GradientReducer(const ParameterLayout& layout, std::shared_ptr<Communicator> communicator,
                  const ReducerOptions& options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  void zero();
  /// Call before the step's last backward pass: what it completes is sent on at once.
  void expect_last_backward();
  /// Sends on what is left, and waits for all: call on every rank once its micro-batches have run backward, were they
  /// none. Every rank then holds the same bits, everywhere or in its own parts.
  void finish();

  /// All gradients, [layout.size()] fp32, in the layout's order.
  const at::Tensor& flat() const { return flat_; }
  /// The stretches of flat() whose sums this rank holds, in rising order: one for everything, or a part of each bucket.
  const std::vector<Part>& parts() const { return parts_; }
  /// The buckets, in rising order.
  const std::vector<Part>& buckets() const { return stretches_; }
  /// Parameters that the last expected backward pass on this rank did not reach.
  std::vector<std::string> unused_parameters() const;

 private:
  struct Hooks;
  struct Bucket {
    std::size_t parameters = 0;  // that lie in it
    std::size_t awaited = 0;     // of them, not yet complete in this step
  };

  void cut_into_buckets(const ParameterLayout& layout, std::int64_t bucket_bytes);
  void on_gradient(std::size_t entry);
  /// Begins the reduction of the buckets whose turn it is, as far as they are complete.
  void launch_complete();
  void launch(std::size_t bucket);
  void agree_on_order();

  std::shared_ptr<Communicator> communicator_;
  ReducedGradients result_;
  at::Tensor flat_;
  std::vector<Part> stretches_;
  std::vector<Part> parts_;
  std::vector<Bucket> buckets_;
  std::vector<std::string> names_;      // of the layout's entries
  std::vector<std::size_t> bucket_of_;  // of the layout's entries
  std::vector<bool> reached_;           // entries, in this step
  std::vector<std::size_t> order_;      // of launching
  std::vector<std::size_t> completed_;  // buckets as they were complete in the first step
  bool has_agreed_ = false;
  bool expecting_ = false;
  std::size_t launched_ = 0;  // of order_
  std::vector<std::shared_ptr<PendingCollective>> pending_;
  std::unique_ptr<Hooks> hooks_;
};

}  // namespace lockstep
