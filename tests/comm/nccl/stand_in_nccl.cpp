#include "comm/nccl/stand_in_nccl.h"

#include <ATen/ATen.h>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "comm/nccl/stand_in_cuda.h"

namespace stand_in {
namespace {

constexpr int kPollsUntilOnStream = 3;

enum class Kind { kAllReduce, kReduce, kReduceScatter, kAllGather, kBroadcast };

struct Call {
  Kind kind;
  const void* send;
  void* receive;
  std::size_t count;
  ncclDataType_t type;
  int root;

  bool matches(const Call& other) const {
    return kind == other.kind && count == other.count && type == other.type && root == other.root;
  }
};

at::ScalarType scalar_type(ncclDataType_t type) {
  switch (type) {
    case ncclUint8:
      return at::kByte;
    case ncclInt64:
      return at::kLong;
    case ncclFloat16:
      return at::kHalf;
    case ncclBfloat16:
      return at::kBFloat16;
    case ncclFloat64:
      return at::kDouble;
    default:
      return at::kFloat;
  }
}

at::Tensor memory(const void* data, std::size_t count, ncclDataType_t type) {
  return at::from_blob(const_cast<void*>(data), {static_cast<std::int64_t>(count)},
                       at::TensorOptions(scalar_type(type)));
}

// The calls of all ranks that belong to one collective group.
struct Exchange {
  std::map<int, std::vector<Call>> of_rank;
  bool done = false;
};

struct World {
  std::mutex mutex;
  std::condition_variable moved;
  int size = 0;
  int joined = 0;
  std::map<int, Exchange> exchanges;  // by group number

  void meet(int rank, int number, std::vector<Call> calls) {
    std::unique_lock lock(mutex);
    Exchange& exchange = exchanges[number];
    exchange.of_rank[rank] = std::move(calls);
    if (static_cast<int>(exchange.of_rank.size()) == size) {
      compute(exchange);
      exchange.done = true;
      moved.notify_all();
    }
    moved.wait(lock, [&] { return exchange.done; });
  }

  void compute(const Exchange& exchange) const {
    const std::vector<Call>& first = exchange.of_rank.at(0);
    for (const auto& [rank, calls] : exchange.of_rank) {
      if (!std::equal(first.begin(), first.end(), calls.begin(), calls.end(),
                      [](const Call& a, const Call& b) { return a.matches(b); })) {
        std::fprintf(stderr, "stand-in NCCL: the calls of rank %d are not those of rank 0\n", rank);
        std::abort();
      }
    }
    for (std::size_t i = 0; i < first.size(); ++i) {
      std::vector<const Call*> calls;
      for (const auto& [rank, of_rank] : exchange.of_rank) calls.push_back(&of_rank[i]);
      compute(calls);
    }
  }

  // Computes one call that all ranks make. Results are written last, because they may overwrite the inputs.
  void compute(const std::vector<const Call*>& calls) const {
    const Call& any = *calls.front();
    const auto ranks = calls.size();
    const std::size_t sent = any.kind == Kind::kReduceScatter ? any.count * ranks : any.count;
    std::vector<at::Tensor> inputs;
    for (const Call* call : calls) inputs.push_back(memory(call->send, sent, any.type));
    at::Tensor result;
    if (any.kind == Kind::kBroadcast) {
      result = inputs[static_cast<std::size_t>(any.root)].clone();
    } else if (any.kind == Kind::kAllGather) {
      result = at::cat(inputs);
    } else {
      at::Tensor sum = at::zeros({static_cast<std::int64_t>(sent)}, at::kDouble);
      for (const at::Tensor& input : inputs) sum += input.to(at::kDouble);
      result = sum.to(scalar_type(any.type));
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      if (any.kind == Kind::kReduce && static_cast<int>(rank) != any.root) continue;
      const auto count = static_cast<std::int64_t>(any.count);
      const at::Tensor own =
          any.kind == Kind::kReduceScatter ? result.narrow(0, static_cast<std::int64_t>(rank) * count, count) : result;
      memory(calls[rank]->receive, static_cast<std::size_t>(own.numel()), any.type).copy_(own);
    }
  }
};

std::shared_ptr<World> world_of(const ncclUniqueId& id) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<World>> worlds;
  const std::lock_guard lock(mutex);
  auto& world = worlds[id.internal];
  if (!world) world = std::make_shared<World>();
  return world;
}

std::atomic<int> communicators{0};

}  // namespace

NcclFaults& nccl_faults() {
  static NcclFaults faults;
  return faults;
}

int live_communicators() { return communicators; }

}  // namespace stand_in

struct ncclComm {
  struct Group {
    cudaStream_t stream;
    std::vector<stand_in::Call> calls;
  };

  std::shared_ptr<stand_in::World> world;
  int rank = 0;
  std::mutex mutex;
  std::vector<Group> waiting;  // to be put on their stream
  int polls_left = 0;
  int begun = 0;

  void put_on_stream() {
    for (Group& group : waiting) {
      if (rank == stand_in::nccl_faults().missing_rank) continue;
      stand_in::run_on(group.stream, [world = world, rank = rank, number = begun++, calls = std::move(group.calls)] {
        world->meet(rank, number, calls);
      });
    }
    waiting.clear();
  }
};

namespace {

thread_local int group_depth = 0;
thread_local std::map<ncclComm_t, ncclComm::Group> group;

ncclResult_t add(ncclComm_t comm, cudaStream_t stream, const char* name, const stand_in::Call& call) {
  if (const ncclResult_t fault = stand_in::nccl_faults().of_calls; fault != ncclSuccess) return fault;
  stand_in::log_call(std::string(name) + " " + stand_in::name_of(stream));
  ncclGroupStart();
  group[comm].stream = stream;
  group[comm].calls.push_back(call);
  return ncclGroupEnd();
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = stand_in::nccl_faults().version;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error" : "unhandled system error";
}

const char* ncclGetLastError(ncclComm_t) { return "the stand-in's detail"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::atomic<int> made{0};
  std::snprintf(id->internal, sizeof id->internal, "world %d", made++);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  if (config == nullptr || config->magic != 0xcafebeef || config->blocking != 0) return ncclInvalidArgument;
  *comm = new ncclComm;
  ++stand_in::communicators;
  (*comm)->world = stand_in::world_of(id);
  (*comm)->rank = rank;
  const std::lock_guard lock((*comm)->world->mutex);
  (*comm)->world->size = size;
  ++(*comm)->world->joined;
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  const std::lock_guard lock(comm->mutex);
  comm->polls_left = stand_in::kPollsUntilOnStream;
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  delete comm;
  --stand_in::communicators;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
  *state = stand_in::nccl_faults().asynchronous;
  if (*state != ncclSuccess) return ncclSuccess;
  *state = ncclInProgress;
  {
    const std::lock_guard lock(comm->world->mutex);
    if (comm->world->joined < comm->world->size) return ncclSuccess;
  }
  const std::lock_guard lock(comm->mutex);
  if (stand_in::nccl_faults().never_on_stream || --comm->polls_left > 0) return ncclSuccess;
  comm->put_on_stream();
  *state = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (--group_depth > 0) return ncclInProgress;
  for (auto& [comm, calls] : std::exchange(group, {})) {
    const std::lock_guard lock(comm->mutex);
    comm->waiting.push_back(std::move(calls));
    comm->polls_left = stand_in::kPollsUntilOnStream;
  }
  return ncclInProgress;
}

ncclResult_t ncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t operation,
                           ncclComm_t comm, cudaStream_t stream) {
  if (operation != ncclSum) return ncclInvalidArgument;
  return add(comm, stream, "ncclAllReduce", {stand_in::Kind::kAllReduce, send, receive, count, type, 0});
}

ncclResult_t ncclReduce(const void* send, void* receive, size_t count, ncclDataType_t type, ncclRedOp_t operation,
                        int root, ncclComm_t comm, cudaStream_t stream) {
  if (operation != ncclSum) return ncclInvalidArgument;
  return add(comm, stream, "ncclReduce", {stand_in::Kind::kReduce, send, receive, count, type, root});
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                               ncclRedOp_t operation, ncclComm_t comm, cudaStream_t stream) {
  if (operation != ncclSum) return ncclInvalidArgument;
  return add(comm, stream, "ncclReduceScatter", {stand_in::Kind::kReduceScatter, send, receive, count, type, 0});
}

ncclResult_t ncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return add(comm, stream, "ncclAllGather", {stand_in::Kind::kAllGather, send, receive, count, type, 0});
}

ncclResult_t ncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return add(comm, stream, "ncclBroadcast", {stand_in::Kind::kBroadcast, send, receive, count, type, root});
}
