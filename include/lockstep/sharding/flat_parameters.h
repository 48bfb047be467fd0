#pragma once

#include <ATen/core/Tensor.h>
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "lockstep/comm/communicator.h"
#include "lockstep/sharding/parameter_layout.h"

namespace lockstep::sharding {

/// The parameters of a layout, as views of flat buffers. Ranks that share the parameters send each other what they have
/// updated while they compute; a unit is waited for only when it is needed. Optionally the buffers of layers exist only
/// while they are needed (stage 3 of ZeRO, Rajbhandari et al. 2020; modelled on PyTorch's FullyShardedDataParallel,
/// Zhao et al. 2023).
///
/// All ranks must call these functions in the same order.
class FlatParameters {
 public:
  /// Moves the parameters into the buffers. With `frees_layers`, every unit must have buckets of its own, and the
  /// parameters of a layer have memory only between gather() and release() of its unit.
  FlatParameters(const ParameterLayout& layout, Ownership ownership, std::shared_ptr<Communicator> communicator,
                 bool frees_layers);

  /// Returns what this rank updates: a flat fp32 tensor for each bucket.
  const std::vector<at::Tensor>& own() const { return own_; }
  /// begin_update() must be called before own() is changed, and end_update() afterwards, on all ranks: it begins to
  /// send what they need first.
  void begin_update();
  void end_update();
  /// Begins to gather what `unit` needs, unless it is complete or in flight.
  void begin_gather(std::size_t unit);
  /// Waits until all of `unit` is complete.
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
  /// free() releases the memory of a buffer, and allocate() gives it memory again; the buffer and its views remain
  /// valid tensors, but their values are lost.
  void allocate(const at::Tensor& buffer);
  void free(const at::Tensor& buffer);
  /// Returns whether `bucket` has memory only while it is needed.
  bool is_freed(std::size_t bucket) const;

  const ParameterLayout layout_;
  const Ownership ownership_;
  const std::shared_ptr<Communicator> communicator_;
  const bool frees_layers_;
  std::vector<Bucket> buckets_;
  std::vector<at::Tensor> own_;
  /// Memory of freed layers, by size, which the next layer reuses instead of new pages.
  std::multimap<std::size_t, at::DataPtr> memory_pool_;
};

}  // namespace lockstep::sharding
