#include "models/layers/embedding.h"

#include "models/layers/product.h"

namespace lockstep::models {
namespace {

// Looks up rows of a table, with a backward that adds to the table's gradient in place.
class LookUp : public torch::autograd::Function<LookUp> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& weight, const at::Tensor& ids,
                            std::int64_t padding_id) {
    context->save_for_backward({weight, ids});
    context->saved_data["padding_id"] = padding_id;
    return at::embedding(weight, ids);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &weight = saved[0], &ids = saved[1];
    const std::int64_t padding_id = context->saved_data["padding_id"].toInt();
    at::Tensor sum = gradient_to_add_to(weight);
    if (!sum.defined()) {
      const at::Tensor gradient = at::embedding_dense_backward(gradients[0], ids, weight.size(0), padding_id, false);
      return {gradient, at::Tensor(), at::Tensor()};
    }
    at::Tensor rows = gradients[0].reshape({-1, weight.size(1)});
    const at::Tensor flat_ids = ids.flatten();
    if (padding_id >= 0) rows = rows.masked_fill(flat_ids.eq(padding_id).unsqueeze(1), 0);
    sum.index_add_(0, flat_ids, rows);
    return {at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Embedding::Embedding(std::int64_t count, std::int64_t features, std::optional<std::int64_t> padding_id_)
    : padding_id(padding_id_) {
  weight = register_parameter("weight", torch::empty({count, features}));
}

at::Tensor Embedding::forward(const at::Tensor& ids, const Pass& pass) const {
  if (pass.adds_gradients_in_place && weight.requires_grad()) {
    return LookUp::apply(weight, ids, padding_id.value_or(-1));
  }
  return at::embedding(weight, ids, padding_id.value_or(-1));
}

}  // namespace lockstep::models
