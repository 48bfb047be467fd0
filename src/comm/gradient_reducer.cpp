#include "lockstep/comm/gradient_reducer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <algorithm>
#include <numeric>
#include <utility>

namespace lockstep {

// The nodes of autograd that add to the gradients, which parameters hold only weakly, with the hooks on them.
struct GradientReducer::Hooks {
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, std::uintptr_t>> nodes;

  ~Hooks() {
    for (const auto& [node, key] : nodes) node->del_post_hook(key);
  }
};

GradientReducer::GradientReducer(const ParameterLayout& layout, std::shared_ptr<Communicator> communicator,
                                 const ReducerOptions& options)
    : communicator_(std::move(communicator)),
      result_(options.result),
      flat_(at::zeros({layout.size()}, at::kFloat)),
      hooks_(std::make_unique<Hooks>()) {
  cut_into_buckets(layout, options.bucket_bytes);
  const std::vector<ParameterLayout::Entry>& entries = layout.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    entries[i].parameter.mutable_grad() = ParameterLayout::view(flat_, entries[i]);
    auto node = torch::autograd::impl::grad_accumulator(entries[i].parameter);
    const auto key = node->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
        [this, i](const torch::autograd::variable_list& outputs, const torch::autograd::variable_list&) {
          on_gradient(i);
          return outputs;
        }));
    hooks_->nodes.emplace_back(std::move(node), key);
  }
}

GradientReducer::~GradientReducer() = default;

// Buckets end where parameters do, and where weight decay does, so that an optimizer may treat each as one.
void GradientReducer::cut_into_buckets(const ParameterLayout& layout, std::int64_t bucket_bytes) {
  const auto elements = std::max<std::int64_t>(1, bucket_bytes / static_cast<std::int64_t>(sizeof(float)));
  const std::vector<ParameterLayout::Entry>& entries = layout.entries();
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::int64_t begin = entries[i].offset;
    const std::int64_t end = i + 1 < entries.size() ? entries[i + 1].offset : layout.size();
    const bool is_full = !stretches_.empty() && end - stretches_.back().begin > elements;
    if (stretches_.empty() || is_full || begin == layout.decayed_size()) {
      stretches_.push_back({begin, begin});
      buckets_.emplace_back();
    }
    stretches_.back().end = end;
    ++buckets_.back().parameters;
    names_.push_back(entries[i].name);
    bucket_of_.push_back(buckets_.size() - 1);
  }
  if (result_ == ReducedGradients::everywhere) {
    parts_.push_back({0, layout.size()});
  } else {
    for (const Part& stretch : stretches_) {
      const Part part = part_of(stretch.size(), communicator_->rank(), communicator_->world_size());
      if (part.size() > 0) parts_.push_back({stretch.begin + part.begin, stretch.begin + part.end});
    }
  }
  order_.resize(buckets_.size());
  std::iota(order_.rbegin(), order_.rend(), std::size_t{0});
}

void GradientReducer::zero() { flat_.zero_(); }

void GradientReducer::expect_last_backward() {
  expecting_ = true;
  launched_ = 0;
  reached_.assign(names_.size(), false);
  for (Bucket& bucket : buckets_) bucket.awaited = bucket.parameters;
}

void GradientReducer::on_gradient(std::size_t entry) {
  if (!expecting_ || reached_[entry]) return;
  reached_[entry] = true;
  if (--buckets_[bucket_of_[entry]].awaited > 0) return;
  if (has_agreed_) {
    launch_complete();
  } else {
    completed_.push_back(bucket_of_[entry]);
  }
}

void GradientReducer::launch_complete() {
  while (launched_ < order_.size() && buckets_[order_[launched_]].awaited == 0) launch(order_[launched_++]);
}

void GradientReducer::launch(std::size_t bucket) {
  const Part& stretch = stretches_[bucket];
  const at::Tensor gradients = flat_.narrow(0, stretch.begin, stretch.size());
  std::string name = fmt::format("the sum of gradients {} of {}", bucket + 1, buckets_.size());
  pending_.push_back(result_ == ReducedGradients::everywhere
                         ? communicator_->begin_all_reduce_sum(gradients, std::move(name))
                         : communicator_->begin_reduce_scatter_sum(gradients, std::move(name)));
}

void GradientReducer::finish() {
  if (!expecting_) launched_ = 0;
  expecting_ = false;
  while (launched_ < order_.size()) launch(order_[launched_++]);
  for (const auto& pending : std::exchange(pending_, {})) pending->wait();
  if (!has_agreed_) agree_on_order();
}

// Buckets that rank 0 did not complete keep their turn behind the others.
void GradientReducer::agree_on_order() {
  for (const std::size_t bucket : order_) {
    if (std::ranges::find(completed_, bucket) == completed_.end()) completed_.push_back(bucket);
  }
  at::Tensor order = at::empty({static_cast<std::int64_t>(completed_.size())}, at::kLong);
  std::ranges::copy(completed_, order.data_ptr<std::int64_t>());
  communicator_->broadcast_from_root(order);
  std::copy_n(order.data_ptr<std::int64_t>(), order_.size(), order_.begin());
  has_agreed_ = true;
}

std::vector<std::string> GradientReducer::unused_parameters() const {
  std::vector<std::string> unused;
  for (std::size_t i = 0; i < reached_.size(); ++i) {
    if (!reached_[i]) unused.push_back(names_[i]);
  }
  return unused;
}

}  // namespace lockstep
