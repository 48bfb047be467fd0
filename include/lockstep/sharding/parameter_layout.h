#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/comm/communicator.h"

namespace lockstep::sharding {

struct NamedParameter {
  std::string name;
  at::Tensor tensor;
  /// Groups parameters that are needed at the same time: 0 for those needed throughout, then the layers, from 1, in the
  /// order of the forward pass.
  std::size_t unit = 0;
};

struct BucketOptions {
  /// A bucket takes parameters up to about this size; a larger parameter shares its bucket only with biases and norms.
  std::int64_t bytes = std::int64_t{25} << 20;
  /// Whether a unit that fits into the last bucket as a whole is added to it, after the parameters of other units.
  bool spans_units = true;
};

/// The place of each trained parameter in flat fp32 buffers, the buckets. Parameters are ordered by unit; within a
/// unit, those with weight decay come last. Backward completes gradients from the last layer to the first. To wait for
/// few layers, a bucket holds whole units, or a range of one unit; a unit's biases and norms come first, since they are
/// complete only when the whole layer is. Each parameter starts on a 64-byte boundary.
class ParameterLayout {
 public:
  struct Entry {
    std::string name;
    at::Tensor parameter;
    std::size_t bucket;
    std::int64_t offset;  // in the bucket, in elements
    bool decayed;         // whether weight decay applies
  };
  struct DecayRange {
    comm::Range part;  // of a bucket
    bool decayed;
  };
  struct Bucket {
    std::int64_t size = 0;              // in elements, including padding between parameters
    std::vector<DecayRange> stretches;  // all of the bucket, in rising order
  };

  /// Weight decay excludes norms (parameters of one dimension) and every parameter with "bias" in its name, as in the
  /// Hugging Face Trainer. Parameters without requires_grad are left out. A tensor with two names counts once.
  explicit ParameterLayout(const std::vector<NamedParameter>& parameters, const BucketOptions& options = {});

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// Returns the buckets that hold parameters of `unit`.
  const std::vector<std::size_t>& buckets_of(std::size_t unit) const { return buckets_of_unit_.at(unit); }
  std::size_t units() const { return buckets_of_unit_.size(); }
  /// Returns fp32 on the device of the parameters.
  at::TensorOptions options() const;
  /// Returns the view of `entry` in `bucket`, the flat buffer that holds it, in the parameter's shape.
  static at::Tensor view(const at::Tensor& bucket, const Entry& entry);

 private:
  void add(const NamedParameter& parameter);

  std::vector<Entry> entries_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<std::size_t>> buckets_of_unit_;
};

/// What a rank updates of each bucket.
struct Ownership {
  bool is_sharded = false;              // among the ranks, each owning its range_of()
  std::vector<comm::Range> parts = {};  // one per bucket; may be empty

  /// Returns the ownership under which every rank updates everything.
  static Ownership replicated(const ParameterLayout& layout);
  /// Returns the ownership under which each rank updates its range.
  static Ownership sharded(const ParameterLayout& layout, const Communicator& communicator);
  /// Returns this rank's range of `tensor`, which has the size of bucket `bucket`.
  at::Tensor own(const at::Tensor& tensor, std::size_t bucket) const;
};

}  // namespace lockstep::sharding
