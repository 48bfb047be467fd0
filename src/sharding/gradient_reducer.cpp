#include "lockstep/sharding/gradient_reducer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "lockstep/sharding/zero_buffer.h"

namespace lockstep::sharding {

// The autograd nodes that accumulate gradients, and the keys of the hooks on them. They are stored here because
// parameters hold their nodes only weakly.
struct GradientReducer::Hooks {
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, std::uintptr_t>> nodes;

  ~Hooks() {
    for (const auto& [node, key] : nodes) node->del_post_hook(key);
  }
};

GradientReducer::GradientReducer(const ParameterLayout& layout, Ownership ownership,
                                 std::shared_ptr<Communicator> communicator, const ReducerOptions& options)
    : layout_(layout),
      ownership_(std::move(ownership)),
      communicator_(std::move(communicator)),
      options_(options),
      buckets_(layout.buckets().size()),
      order_(buckets_.size()),
      hooks_(std::make_unique<Hooks>()) {
  std::iota(order_.rbegin(), order_.rend(), std::size_t{0});
  for (const auto& entry : layout_.entries()) ++buckets_[entry.bucket].parameters;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    gradients_.push_back(options_.frees_buckets ? zero_buffer(ownership_.parts[i].size(), layout_.options())
                                                : ownership_.own(buffer_of(i), i));
  }
  for (std::size_t i = 0; i < layout_.entries().size(); ++i) {
    const ParameterLayout::Entry& entry = layout_.entries()[i];
    entry.parameter.mutable_grad() =
        options_.frees_buckets ? at::Tensor() : ParameterLayout::view(buckets_[entry.bucket].buffer, entry);
    auto node = torch::autograd::impl::grad_accumulator(entry.parameter);
    const auto key = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [this, i](const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) {
          on_gradient(i);
          return outputs;
        }));
    hooks_->nodes.emplace_back(std::move(node), key);
  }
}

GradientReducer::~GradientReducer() {
  // Views of the buffers: other optimizers could not use them, and they would keep the memory.
  for (const auto& entry : layout_.entries()) entry.parameter.mutable_grad().reset();
}

at::Tensor& GradientReducer::buffer_of(std::size_t bucket) {
  at::Tensor& buffer = buckets_[bucket].buffer;
  if (buffer.defined()) return buffer;
  const std::int64_t size = layout_.buckets()[bucket].size;
  if (auto spare = buffer_pool_.extract(size)) {
    buffer = std::move(spare.mapped()).zero_();
  } else {
    buffer = options_.frees_buckets ? at::zeros({size}, layout_.options()) : zero_buffer(size, layout_.options());
  }
  return buffer;
}

void GradientReducer::zero() {
  if (options_.frees_buckets) {
    for (const at::Tensor& gradient : gradients_) gradient.zero_();
  } else {
    for (const Bucket& bucket : buckets_) bucket.buffer.zero_();
  }
}

void GradientReducer::begin_pass(bool is_last_of_step) {
  is_reducing_ = is_last_of_step || options_.frees_buckets;
  if (!is_reducing_) return;
  launched_ = 0;
  reached_.assign(layout_.entries().size(), false);
  for (Bucket& bucket : buckets_) bucket.awaited = bucket.parameters;
}

void GradientReducer::on_gradient(std::size_t index) {
  if (!is_reducing_ || reached_[index]) return;
  reached_[index] = true;
  const ParameterLayout::Entry& entry = layout_.entries()[index];
  if (options_.frees_buckets) {
    at::Tensor& gradient = entry.parameter.mutable_grad();
    ParameterLayout::view(buffer_of(entry.bucket), entry).copy_(gradient);
    gradient.reset();
  }
  if (--buckets_[entry.bucket].awaited > 0) return;
  if (!has_agreed_) completed_.push_back(entry.bucket);
  launch_complete();
}

void GradientReducer::launch_complete() {
  while (launched_ < order_.size() && buckets_[order_[launched_]].awaited == 0) launch(order_[launched_++]);
}

void GradientReducer::launch(std::size_t index) {
  const at::Tensor buffer = buffer_of(index);
  at::Tensor message = buffer.to(options_.message_type);
  if (options_.frees_buckets) {
    while (in_flight_.size() >= kMaxInFlight) finish_oldest();
    buckets_[index].buffer.reset();
    if (!message.is_same(buffer)) buffer_pool_.emplace(buffer.numel(), buffer);
  }
  std::string name = fmt::format("the sum of gradients {} of {}", index + 1, buckets_.size());
  auto collective = ownership_.is_sharded ? communicator_->begin_reduce_scatter_sum(message, std::move(name))
                                          : communicator_->begin_all_reduce_sum(message, std::move(name));
  in_flight_.push_back({index, std::move(message), std::move(collective)});
}

void GradientReducer::finish_oldest() {
  const Reduction reduction = std::move(in_flight_.front());
  in_flight_.pop_front();
  reduction.collective->wait();
  const at::Tensor sum = ownership_.own(reduction.message, reduction.bucket);
  const at::Tensor& gradient = gradients_[reduction.bucket];
  if (options_.frees_buckets) {
    gradient.add_(sum);
    if (reduction.message.scalar_type() == at::kFloat) {
      buffer_pool_.emplace(reduction.message.numel(), reduction.message);
    }
  } else if (!gradient.is_alias_of(sum)) {
    gradient.copy_(sum);
  }
}

void GradientReducer::end_pass() {
  if (!std::exchange(is_reducing_, false)) return;
  while (launched_ < order_.size()) launch(order_[launched_++]);
  if (!has_agreed_) broadcast_order();
}

void GradientReducer::finish() {
  while (!in_flight_.empty()) finish_oldest();
}

// Buckets that rank 0 did not complete follow the others in their old order.
void GradientReducer::broadcast_order() {
  for (const std::size_t bucket : order_) {
    if (std::ranges::find(completed_, bucket) == completed_.end()) completed_.push_back(bucket);
  }
  at::Tensor order = at::empty({static_cast<std::int64_t>(completed_.size())}, at::kLong);
  std::ranges::copy(completed_, order.data_ptr<std::int64_t>());
  communicator_->broadcast_from_root(order);
  std::copy_n(order.data_ptr<std::int64_t>(), order_.size(), order_.begin());
  has_agreed_ = true;
}

double GradientReducer::norm() {
  at::Tensor squares = at::zeros({1}, layout_.options().dtype(at::kDouble));
  for (const at::Tensor& gradient : gradients_) {
    squares += at::linalg_vector_norm(gradient, 2).to(at::kDouble).square();
  }
  squares = squares.cpu();
  if (ownership_.is_sharded) communicator_->all_reduce_sum(squares);
  return std::sqrt(squares.item<double>());
}

void GradientReducer::scale(double factor) {
  for (const at::Tensor& gradient : gradients_) gradient.mul_(factor);
}

std::vector<std::string> GradientReducer::unused_parameters() const {
  std::vector<std::string> unused;
  for (std::size_t i = 0; i < reached_.size(); ++i) {
    if (!reached_[i]) unused.push_back(layout_.entries()[i].name);
  }
  return unused;
}

}  // namespace lockstep::sharding
