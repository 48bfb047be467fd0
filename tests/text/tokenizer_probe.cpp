// tokenizer_probe FOLDER prints the tokenizer's properties, then a line with the ids and decoded texts for every JSON
// string on standard input. The oracles use it.

#include <iostream>
#include <string>

#include "lockstep/core/json.h"
#include "lockstep/text/load_tokenizer.h"

namespace {

lockstep::Json to_json(const std::optional<lockstep::TokenId>& id) {
  return id ? lockstep::Json(*id) : lockstep::Json(nullptr);
}

void probe(const std::string& folder) {
  const auto tokenizer = lockstep::load_tokenizer(folder);
  const lockstep::Json properties{{"bos", to_json(tokenizer->bos_id())}, {"eos", to_json(tokenizer->eos_id())},
                                  {"pad", to_json(tokenizer->pad_id())}, {"before", tokenizer->ids_before()},
                                  {"after", tokenizer->ids_after()},     {"size", tokenizer->vocabulary_size()},
                                  {"digest", tokenizer->digest()}};
  std::cout << properties.dump() << '\n';
  for (std::string line; std::getline(std::cin, line);) {
    const auto ids = tokenizer->encode(lockstep::Json::parse(line).get<std::string>());
    const lockstep::Json result{
        {"ids", ids}, {"text", tokenizer->decode(ids)}, {"full_text", tokenizer->decode(ids, false)}};
    std::cout << result.dump() << '\n';
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count != 2) throw std::runtime_error("usage: tokenizer_probe FOLDER");
    std::ios::sync_with_stdio(false);
    probe(arguments[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
