#include "lockstep/models/layers/packed_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace lockstep::models {

PackedRows::PackedRows(std::span<const std::int64_t> lengths)
    : PackedRows(lengths, lengths.empty() ? 0 : *std::ranges::max_element(lengths)) {}

PackedRows::PackedRows(std::span<const std::int64_t> lengths, std::int64_t longest)
    : offsets(lengths.size() + 1), length(longest) {
  std::partial_sum(lengths.begin(), lengths.end(), offsets.begin() + 1);
  places = at::empty({tokens()}, at::kLong);
  auto* place = places.mutable_data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    std::iota(place + offsets[row], place + offsets[row + 1], static_cast<std::int64_t>(row) * length);
  }
}

PackedRows PackedRows::first(std::span<const std::int64_t> lengths) const { return {lengths, length}; }

at::Tensor PackedRows::pad(const at::Tensor& packed) const {
  std::vector<std::int64_t> shape = packed.sizes().vec();
  shape.front() = rows() * length;
  const at::Tensor flat = has_padding() ? at::zeros(shape, packed.options()).index_copy(0, places, packed) : packed;
  return flat.unflatten(0, {rows(), length});
}

at::Tensor PackedRows::pack(const at::Tensor& padded) const {
  const at::Tensor flat = padded.flatten(0, 1);
  return has_padding() ? flat.index_select(0, places) : flat;
}

at::Tensor PackedRows::positions() const { return at::remainder(places, std::max<std::int64_t>(1, length)); }

at::Tensor PackedRows::padding_bias() const {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const at::Tensor shown = at::zeros({tokens()}, places.options().dtype(at::kFloat));
  const at::Tensor hidden = at::full({rows() * length}, kHidden, shown.options());
  return hidden.index_copy_(0, places, shown).view({rows(), 1, 1, length});
}

PackedRows PackedRows::to(at::Device device) const {
  PackedRows same = *this;
  same.places = to_device(places, device);
  return same;
}

at::Tensor to_device(const at::Tensor& tensor, at::Device device) {
  if (!tensor.defined() || tensor.device() == device) return tensor;
  return (device.is_cuda() ? tensor.pin_memory() : tensor).to(device, /*non_blocking=*/device.is_cuda());
}

}  // namespace lockstep::models
