// Fuzzes tokenizer.json and, after NULs, tokenizer_config.json and a text.
#include "fuzz_input.h"
#include "tokenizer_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep::fuzz;
  static const InputFolder folder;
  const auto parts = split_at_nul(as_text(data, size), 3);
  folder.write("tokenizer.json", parts[0]);
  if (parts[1].empty()) {
    folder.remove("tokenizer_config.json");
  } else {
    folder.write("tokenizer_config.json", parts[1]);
  }
  try_tokenizer(folder.path(), parts[2]);
  return 0;
}
