#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/sharding/parameter_layout.h"

namespace lockstep::sharding {

/// The parameters of a layout, in flat buffers that they are views of. Ranks that share them send each other what they
/// have updated, while they compute: what a unit needs is waited for when it is needed. On request the buffers of
/// layers exist only meanwhile (the third stage of ZeRO, Rajbhandari et al. 2020; after PyTorch's
/// FullyShardedDataParallel, Zhao et al. 2023).
///
/// All ranks call these functions in the same order.
class FlatParameters {
 public:
  /// Moves the parameters into the buffers. `frees_layers`: the layout has a bucket a unit, and a parameter of a layer
  /// has no memory but between gather() and release() of its unit.
  FlatParameters(const ParameterLayout& layout, Ownership ownership, std::shared_ptr<Communicator> communicator,
                 bool frees_layers);

  /// What this rank updates, a flat fp32 tensor for each bucket.
  const std::vector<at::Tensor>& own() const { return own_; }
  /// Call before own() is changed, and after it on all ranks: then what they need first is sent at once.
  void begin_update();
  void end_update();
  /// Begins to send and receive what `unit` needs, unless it is here or on its way.
  void begin_gather(std::size_t unit);
  /// Waits until all of `unit` is here.
  void gather(std::size_t unit);
  void gather_all();
  /// Frees what only `unit` needs, if layers are freed.
  void release(std::size_t unit);
  bool frees_layers() const { return frees_layers_; }
  std::size_t units() const { return layout_.units(); }

 private:
  struct Bucket {
    at::Tensor buffer;
    bool is_complete = true;
    std::shared_ptr<comm::PendingCollective> gathering = nullptr;
  };

  void wait_for(Bucket& bucket);
  /// A buffer and its views stay as they are; what they show is gone from free() to allocate().
  void allocate(const at::Tensor& buffer);
  void free(const at::Tensor& buffer);
  /// Whether `bucket` has memory only while it is needed.
  bool is_freed(std::size_t bucket) const;

  const ParameterLayout layout_;
  const Ownership ownership_;
  const std::shared_ptr<Communicator> communicator_;
  const bool frees_layers_;
  std::vector<Bucket> buckets_;
  std::vector<at::Tensor> own_;
  /// Of layers that are freed, by size: the next one takes it instead of new pages.
  std::multimap<std::size_t, at::DataPtr> spare_memory_;
};

}  // namespace lockstep::sharding
