#include "models/kernels/packed_attention.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "models/kernels/vector_math.h"
#include "models/layers/dropout_mask.h"

namespace lockstep::models {
namespace {

// kQueryBlock limits the queries whose scores are in memory at a time. kScores limits the scores of a task, unless a
// single head needs more, so that they stay in the second-level cache.
constexpr std::int64_t kQueryBlock = 128;
constexpr std::int64_t kScores = 1 << 17;

// A bias on attention scores: base[head x of_head + query x of_query + key].
struct Bias {
  const float* base = nullptr;  // null if there is no bias
  std::int64_t of_head = 0, of_query = 0;

  const float* row(std::int64_t head, std::int64_t query) const {
    return base == nullptr ? nullptr : base + head * of_head + query * of_query;
  }
};

// The arguments of a call, except the tensors that have gradients.
struct Call : torch::CustomClassHolder {
  PackedRows queries, keys;
  double scale = 1;
  float soft_cap = 0;
  bool causal = false;
  std::int64_t window = std::numeric_limits<std::int64_t>::max();
  at::Tensor bias;  // [1 or heads, 1 or query, key] with a last stride of 1
  c10::intrusive_ptr<DropoutMask> mask;
};

struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

void clear_unseen(float* values, std::int64_t keys, Range seen) {
  std::fill(values, values + seen.begin, 0.0F);
  std::fill(values + seen.end, values + keys, 0.0F);
}

// Replaces the scores of one query of one head with probabilities over the keys that it sees, and 0 elsewhere. Returns
// the log-sum-exp of the scores.
float softmax_row(float* scores, std::int64_t keys, Range seen) {
  float* of_seen = scores + seen.begin;
  const float largest = largest_of(of_seen, seen.size());
  exponentiate(of_seen, seen.size(), largest);
  const float sum = sum_of(of_seen, seen.size());
  scale(of_seen, seen.size(), 1 / sum);
  clear_unseen(scores, keys, seen);
  return largest + std::log(sum);
}

// Replaces the scores with the probabilities exp(score - log_sum), as softmax_row() does, and the gradients of the
// probabilities with those of the scores, which are exactly 0 if only one key is seen.
void softmax_gradient_row(float* scores, float* gradients, std::int64_t keys, Range seen, float log_sum) {
  float* probabilities = scores + seen.begin;
  float* of_seen = gradients + seen.begin;
  exponentiate(probabilities, seen.size(), log_sum);
  const float product = seen.size() == 1 ? *of_seen : sum_of_products(probabilities, of_seen, seen.size());
  shift_and_multiply(of_seen, probabilities, seen.size(), product);
  clear_unseen(scores, keys, seen);
  clear_unseen(gradients, keys, seen);
}

// The unit of work of a thread: some key heads of one row.
struct Task {
  std::int64_t row;
  Range heads;  // key heads
};

class Attention {
 public:
  Attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, const at::Tensor& distance_bias,
            const Call& call)
      : query_(query), key_(key), value_(value), call_(call), shared_by_(query.size(1) / key.size(1)) {
    if (distance_bias.defined()) {
      distances_ = distance_bias.size(1);
      biases_[0] = {distance_bias.const_data_ptr<float>() + call.queries.length - 1, distances_, -1};
    }
    if (call.bias.defined()) {
      const auto stride = [&](std::int64_t dim) { return call.bias.size(dim) == 1 ? 0 : call.bias.stride(dim); };
      biases_[1] = {call.bias.const_data_ptr<float>(), stride(0), stride(1)};
    }
    for (std::int64_t row = 0; row < call.queries.rows(); ++row) add_tasks(row);
  }

  // Returns the output [query tokens, heads, features] and sets `log_sums` [query tokens, heads] for backward().
  at::Tensor forward(at::Tensor& log_sums) const {
    at::Tensor output = at::empty({query_.size(0), query_.size(1), value_.size(2)}, query_.options());
    log_sums = at::empty({query_.size(0), query_.size(1)}, query_.options());
    auto* sums = log_sums.mutable_data_ptr<float>();
    for_each_task([&](const Task& task, Buffers& buffers) {
      for_each_block(task, [&](std::int64_t lane, Range block, Range keys) {
        const at::Tensor to = head_rows(output, call_.queries, task, block, lane);
        if (keys.size() == 0) {
          to.zero_();
          return;
        }
        const at::Tensor scores = multiply_scores(buffers.scores, task, block, keys, lane);
        for_each_score_row(scores, task, block, keys, lane, [&](const Row& row) {
          cap_and_add_biases(row, buffers.slopes);
          sums[row.token * query_.size(1) + row.head] = softmax_row(row.scores, keys.size(), row.seen);
          if (call_.mask) call_.mask->apply(row.scores, row.scores, row.first_key, row.seen.end, row.key);
        });
        to.copy_(multiply(buffers.result, scores, head_rows(value_, call_.keys, task, keys)));
      });
    });
    return output;
  }

  struct Gradients {
    at::Tensor query, key, value, distance_bias;
  };

  Gradients backward(const at::Tensor& log_sums, const at::Tensor& gradient, bool needs_bias) const {
    Gradients to{at::empty(query_.sizes(), query_.options()),
                 at::zeros(key_.sizes(), key_.options()),
                 at::zeros(value_.sizes(), value_.options()),
                 {}};
    if (needs_bias) to.distance_bias = at::zeros({call_.queries.rows(), query_.size(1), distances_}, query_.options());
    const auto* sums = log_sums.const_data_ptr<float>();
    const std::int64_t heads = query_.size(1);
    for_each_task([&](const Task& task, Buffers& buffers) {
      for_each_block(task, [&](std::int64_t lane, Range block, Range keys) {
        const at::Tensor of_query = head_rows(to.query, call_.queries, task, block, lane);
        if (keys.size() == 0) {
          of_query.zero_();
          return;
        }
        const at::Tensor grad_output_rows = head_rows(gradient, call_.queries, task, block, lane);
        const at::Tensor scores = multiply_scores(buffers.scores, task, block, keys, lane);
        const at::Tensor grad_scores =
            multiply(buffers.gradients, grad_output_rows, head_rows(value_, call_.keys, task, keys).transpose(1, 2));
        const auto* first_score = scores.const_data_ptr<float>();
        auto* first_gradient = grad_scores.mutable_data_ptr<float>();
        for_each_score_row(scores, task, block, keys, lane, [&](const Row& row) {
          float* gradients = first_gradient + (row.scores - first_score);
          if (call_.mask) call_.mask->apply(gradients, gradients, row.first_key, row.seen.end, row.key);
          cap_and_add_biases(row, buffers.slopes);
          softmax_gradient_row(row.scores, gradients, keys.size(), row.seen, sums[row.token * heads + row.head]);
          if (needs_bias) {
            const std::int64_t first = keys.begin - row.query + call_.queries.length - 1;
            add_to(to.distance_bias.mutable_data_ptr<float>() + (task.row * heads + row.head) * distances_ + first,
                   gradients, keys.size());
          }
          if (call_.soft_cap != 0) {
            shift_and_multiply(gradients + row.seen.begin, buffers.slopes.data(), row.seen.size(), 0);
          }
          if (call_.mask) call_.mask->apply(row.scores, row.scores, row.first_key, row.seen.end, row.key);
        });
        const at::Tensor query_rows = head_rows(query_, call_.queries, task, block, lane);
        of_query.copy_(multiply(buffers.result, grad_scores, head_rows(key_, call_.keys, task, keys), call_.scale));
        head_rows(to.value, call_.keys, task, keys) +=
            multiply(buffers.result, scores.transpose(1, 2), grad_output_rows);
        head_rows(to.key, call_.keys, task, keys) +=
            multiply(buffers.result, grad_scores.transpose(1, 2), query_rows, call_.scale);
      });
    });
    if (needs_bias) to.distance_bias = to.distance_bias.sum(0);
    return to;
  }

 private:
  // Holds the scores of one query of one head.
  struct Row {
    float* scores;
    Range seen;  // keys, relative to the block's first key
    std::int64_t head, query, token, first_key;
    std::uint64_t key;  // key of the dropout mask
  };

  // Buffers of one thread, reused for all its products. Results are contiguous; otherwise a batched product would be
  // split into many.
  using Buffer = at::Tensor;
  struct Buffers {
    Buffer scores, gradients, result;
    std::vector<float> slopes;  // derivatives of the soft cap in a row, if there is one
  };

  // Returns a b x scale [heads, rows of a, columns of b], stored in `buffer`.
  static at::Tensor multiply(Buffer& buffer, const at::Tensor& a, const at::Tensor& b, double scale = 1) {
    const std::int64_t size = a.size(0) * a.size(1) * b.size(2);
    if (!buffer.defined() || buffer.numel() < size) buffer = at::empty({size}, a.options());
    return buffer.narrow(0, 0, size).view({a.size(0), a.size(1), b.size(2)}).baddbmm_(a, b, /*beta=*/0, scale);
  }

  // Splits a row into tasks; short rows have several heads per task.
  void add_tasks(std::int64_t row) {
    const std::int64_t heads = key_.size(1);
    const std::int64_t of_head =
        std::min(kQueryBlock, length(call_.queries, row)) * std::max<std::int64_t>(1, length(call_.keys, row));
    const std::int64_t together = std::clamp<std::int64_t>(kScores / std::max<std::int64_t>(1, of_head), 1, heads);
    for (std::int64_t begin = 0; begin < heads; begin += together) {
      tasks_.push_back({row, {begin, std::min(heads, begin + together)}});
    }
  }

  static std::int64_t length(const PackedRows& rows, std::int64_t row) {
    return rows.offsets[static_cast<std::size_t>(row) + 1] - rows.offsets[static_cast<std::size_t>(row)];
  }

  // Threads take tasks dynamically, because rows differ in length.
  template <class Run>
  void for_each_task(const Run& run) const {
    std::atomic<std::size_t> next = 0;
    const auto threads = std::min<std::int64_t>(at::get_num_threads(), static_cast<std::int64_t>(tasks_.size()));
    at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
      const at::AutoDispatchBelowADInplaceOrView no_graph;
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      Buffers buffers;
      for (; begin < end; ++begin) {
        for (std::size_t i = next++; i < tasks_.size(); i = next++) run(tasks_[i], buffers);
      }
    });
  }

  // Calls run(lane, queries, keys) for each block of queries and each lane, the index of a head among those that share
  // a key head; `keys` covers all keys that any of the queries sees.
  template <class Run>
  void for_each_block(const Task& task, const Run& run) const {
    const std::int64_t queries = length(call_.queries, task.row), keys = length(call_.keys, task.row);
    for (std::int64_t begin = 0; begin < queries; begin += kQueryBlock) {
      const Range block{begin, std::min(queries, begin + kQueryBlock)};
      const Range seen{seen_by(block.begin, keys).begin, seen_by(block.end - 1, keys).end};
      for (std::int64_t lane = 0; lane < shared_by_; ++lane) run(lane, block, seen);
    }
  }

  Range seen_by(std::int64_t query, std::int64_t keys) const {
    if (!call_.causal) return {0, keys};
    const std::int64_t end = std::min(keys, query + 1);
    return {std::min(end, std::max<std::int64_t>(0, query + 1 - std::min(call_.window, query + 1))), end};
  }

  template <class Run>
  void for_each_score_row(const at::Tensor& scores, const Task& task, Range block, Range keys, std::int64_t lane,
                          const Run& run) const {
    auto* row = scores.mutable_data_ptr<float>();
    const std::int64_t all_keys = length(call_.keys, task.row);
    for (std::int64_t key_head = task.heads.begin; key_head < task.heads.end; ++key_head) {
      const std::int64_t head = key_head * shared_by_ + lane;
      for (std::int64_t query = block.begin; query < block.end; ++query, row += keys.size()) {
        const Range seen = seen_by(query, all_keys);
        run({row,
             {seen.begin - keys.begin, seen.end - keys.begin},
             head,
             query,
             call_.queries.offsets[static_cast<std::size_t>(task.row)] + query,
             keys.begin,
             call_.mask ? call_.mask->key(task.row, head, query) : 0});
      }
    }
  }

  at::Tensor multiply_scores(Buffer& buffer, const Task& task, Range block, Range keys, std::int64_t lane) const {
    return multiply(buffer, head_rows(query_, call_.queries, task, block, lane),
                    head_rows(key_, call_.keys, task, keys).transpose(1, 2), call_.scale);
  }

  // Applies the soft cap, if there is one, to the scores, stores its derivatives in `slopes`, and adds the biases.
  void cap_and_add_biases(const Row& row, std::vector<float>& slopes) const {
    float* seen = row.scores + row.seen.begin;
    if (call_.soft_cap != 0) {
      slopes.resize(static_cast<std::size_t>(row.seen.size()));
      soft_cap_with_derivative(seen, slopes.data(), row.seen.size(), call_.soft_cap);
    }
    for (const Bias& bias : biases_) {
      if (const float* values = bias.row(row.head, row.query)) {
        add_to(seen, values + row.first_key + row.seen.begin, row.seen.size());
      }
    }
  }

  // Returns the rows of a task's key heads, [heads, positions, features]; with `lane`, those of the query heads with
  // this index among the heads that share a key head.
  at::Tensor head_rows(const at::Tensor& x, const PackedRows& rows, const Task& task, Range positions) const {
    return x.narrow(0, rows.offsets[static_cast<std::size_t>(task.row)] + positions.begin, positions.size())
        .narrow(1, task.heads.begin, task.heads.size())
        .transpose(0, 1);
  }
  at::Tensor head_rows(const at::Tensor& x, const PackedRows& rows, const Task& task, Range positions,
                       std::int64_t lane) const {
    return x.narrow(0, rows.offsets[static_cast<std::size_t>(task.row)] + positions.begin, positions.size())
        .slice(1, task.heads.begin * shared_by_ + lane, task.heads.end * shared_by_, shared_by_)
        .transpose(0, 1);
  }

  const at::Tensor &query_, &key_, &value_;
  const Call& call_;
  const std::int64_t shared_by_;  // query heads per key head
  std::array<Bias, 2> biases_;
  std::int64_t distances_ = 0;  // distances covered by biases_[0]
  std::vector<Task> tasks_;
};

class PackedAttention : public torch::autograd::Function<PackedAttention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& query, const at::Tensor& key,
                            const at::Tensor& value, const std::optional<at::Tensor>& distance_bias,
                            const c10::intrusive_ptr<Call>& call) {
    const at::Tensor bias = distance_bias.value_or(at::Tensor());
    at::Tensor log_sums;
    const at::Tensor output = Attention(query, key, value, bias, *call).forward(log_sums);
    context->save_for_backward({query, key, value, bias, log_sums});
    context->saved_data["call"] = c10::IValue::make_capsule(call);
    return output.flatten(1);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &query = saved[0], &key = saved[1], &value = saved[2], &bias = saved[3];
    const auto capsule = context->saved_data["call"].toCapsule();
    const at::Tensor gradient = gradients[0].contiguous().view({query.size(0), query.size(1), value.size(2)});
    const bool needs_bias = bias.defined() && context->needs_input_grad(3);
    const auto to =
        Attention(query, key, value, bias, static_cast<const Call&>(*capsule)).backward(saved[4], gradient, needs_bias);
    return {to.query, to.key, to.value, to.distance_bias, at::Tensor()};
  }
};

}  // namespace

at::Tensor attend_on_host(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          const PackedRows& queries, const PackedRows& keys, const AttentionOptions& options,
                          Dropout& dropout) {
  auto call = c10::make_intrusive<Call>();
  call->queries = queries;
  call->keys = keys;
  call->scale = options.scale;
  call->soft_cap = static_cast<float>(options.soft_cap);
  call->causal = options.causal;
  if (options.window) call->window = *options.window;
  if (options.bias.defined()) call->bias = options.bias.view({-1, options.bias.size(-2), options.bias.size(-1)});
  call->mask = dropout.next_mask(options.dropout);
  const std::optional<at::Tensor> distance_bias =
      options.distance_bias.defined() ? std::optional(options.distance_bias.contiguous()) : std::nullopt;
  return PackedAttention::apply(query, key, value, distance_bias, call);
}

}  // namespace lockstep::models
