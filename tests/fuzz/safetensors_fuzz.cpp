// Fuzzes the header of a safetensors file.
#include "lockstep/models/weights/safetensors_header.h"

#include "fuzz_input.h"
#include "lockstep/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  try {
    const models::SafetensorsHeader header = models::parse_safetensors_header(fuzz::as_text(data, size), "file");
    std::uint64_t bytes = header.tensors_begin;
    for (const auto& [name, tensor] : header.tensors) {
      fuzz::require(tensor.begin <= tensor.end && tensor.end <= size - header.tensors_begin, "a tensor is in the file");
      bytes += tensor.end - tensor.begin;
    }
    fuzz::require(bytes == size, "the tensors are all that is behind the header");
  } catch (const Error&) {
  }
  return 0;
}
