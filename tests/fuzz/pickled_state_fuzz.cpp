// Fuzzes the pickle in pytorch_model.bin.
#include "models/weights/pickled_state.h"

#include "fuzz_input.h"
#include "lockstep/core/error.h"

namespace lockstep::fuzz {
namespace {

void check(const models::PickledTensor& tensor) {
  require(tensor.sizes.size() == tensor.strides.size(), "every size has a stride");
  __int128 last = tensor.offset;  // 128 bits, so that no number in the pickle makes it overflow
  bool is_empty = false;
  for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
    require(tensor.sizes[i] >= 0 && tensor.strides[i] >= 0, "sizes and strides are not negative");
    is_empty |= tensor.sizes[i] == 0;
    last += static_cast<__int128>(tensor.sizes[i] - 1) * tensor.strides[i];
  }
  require(tensor.offset >= 0 && tensor.offset <= tensor.storage_numbers, "a tensor begins in its storage");
  require(is_empty || last < tensor.storage_numbers, "a tensor ends in its storage");
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  try {
    for (const auto& [name, tensor] : models::read_pickled_state(fuzz::as_text(data, size))) fuzz::check(tensor);
  } catch (const Error&) {
  }
  return 0;
}
