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
  /// Parameters that are needed at the same time: 0 for those needed throughout, then the layers, from 1, in the order
  /// of the forward pass.
  std::size_t unit = 0;
};

struct BucketOptions {
  /// A bucket takes parameters up to about this size; one that is larger shares its bucket with biases
  /// and norms alone.
  std::int64_t bytes = std::int64_t{25} << 20;
  /// A unit that fits into the last bucket whole is put there, behind others.
  bool spans_units = true;
};

/// Where each trained parameter lies in flat fp32 buffers, the buckets, in the order of units; within a unit last
/// those that weight decay applies to. Backward completes a layer's gradients from the last to the first, so that a
/// bucket waits for few others: it holds whole units, or a stretch of one, behind the biases and norms, which are
/// complete when the whole layer is. Each parameter starts on a 64-byte boundary.
class ParameterLayout {
 public:
  struct Entry {
    std::string name;
    at::Tensor parameter;
    std::size_t bucket;
    std::int64_t offset;  // in the bucket, in elements
    bool decayed;         // by weight decay
  };
  struct Stretch {
    comm::Part part;  // of a bucket
    bool decayed;
  };
  struct Bucket {
    std::int64_t size = 0;           // in elements, padding between parameters included
    std::vector<Stretch> stretches;  // all of it, in rising order
  };

  /// Weight decay leaves out norms (the parameters of one dimension) and every parameter with "bias" in its name, as
  /// the Hugging Face Trainer groups them. Parameters without requires_grad are left out. A tensor under two names
  /// counts once.
  explicit ParameterLayout(const std::vector<NamedParameter>& parameters, const BucketOptions& options = {});

  const std::vector<Entry>& entries() const { return entries_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// The buckets in which parameters of `unit` lie.
  const std::vector<std::size_t>& buckets_of(std::size_t unit) const { return buckets_of_unit_.at(unit); }
  std::size_t units() const { return buckets_of_unit_.size(); }
  /// fp32, on the device of the parameters.
  at::TensorOptions options() const;
  /// What belongs to `entry` of `bucket`, the flat buffer in which it lies, in the parameter's shape.
  static at::Tensor view(const at::Tensor& bucket, const Entry& entry);

 private:
  void add(const NamedParameter& parameter);

  std::vector<Entry> entries_;
  std::vector<Bucket> buckets_;
  std::vector<std::vector<std::size_t>> buckets_of_unit_;
};

/// What a rank updates of each bucket.
struct Ownership {
  bool is_shared = false;              // among the ranks, as part_of cuts it
  std::vector<comm::Part> parts = {};  // a bucket; may be empty

  /// Every rank updates all.
  static Ownership whole(const ParameterLayout& layout);
  /// Each rank updates its part.
  static Ownership shared(const ParameterLayout& layout, const Communicator& communicator);
  /// What belongs to this rank of `tensor`, as long as bucket `bucket`.
  at::Tensor own(const at::Tensor& tensor, std::size_t bucket) const;
};

}  // namespace lockstep::sharding
