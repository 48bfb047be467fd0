// Fuzzes a SentencePiece model, loaded as T5's and as one without a tokenizer class of its own.
#include "fuzz_input.h"
#include "tokenizer_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep::fuzz;
  static const InputFolder folder;
  folder.write("spiece.model", as_text(data, size));
  for (const char* config :
       {R"({"tokenizer_class": "T5Tokenizer"})", R"({"tokenizer_class": "PreTrainedTokenizerFast"})"}) {
    folder.write("tokenizer_config.json", config);
    try_tokenizer(folder.path(), "the \u2581quick  brown fox");
  }
  return 0;
}
