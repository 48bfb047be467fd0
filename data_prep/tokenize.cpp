#include <fmt/format.h>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "data_prep/commands.h"
#include "data_prep/examples.h"
#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"
#include "lockstep/hub/resolve.h"
#include "lockstep/text/load_tokenizer.h"

namespace lockstep::data_prep {
namespace {

// Prints "15496  995" and below it "Hello  Ġworld", in columns.
void print_tokens(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string numbers, pieces;
  for (const TokenId id : ids) {
    const std::string piece = printable(tokenizer.token(id));
    const std::string number = fmt::to_string(id);
    const std::size_t width = std::max(count_characters(piece), number.size()) + 2;
    numbers += number + std::string(width - number.size(), ' ');
    pieces += piece + std::string(width - count_characters(piece), ' ');
  }
  fmt::print("{}\n{}\n", numbers, pieces);
}

void tokenize(const std::string& name, const std::string& file) {
  const hub::ResolvedModel resolved =
      hub::resolve_model(name, {.files = hub::ModelFiles::kWithoutWeights}, hub::hub_settings_from_environment);
  const auto tokenizer = load_tokenizer(resolved.tokenizer, resolved.folder);
  std::ifstream stream;
  if (!file.empty()) {
    errno = 0;
    stream.open(core::expand_home(file), std::ios::binary);
    if (!stream) core::throw_system_error("open", file, errno);
  }
  std::istream& input = file.empty() ? std::cin : stream;
  std::string line;
  for (std::uint64_t number = 1; std::getline(input, line); ++number) {
    try {
      print_tokens(*tokenizer, tokenizer->encode(line));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: line {}: {}", file.empty() ? "standard input" : file, number, error.what()));
    }
  }
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  struct Arguments {
    std::string tokenizer, file;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("tokenize", "Prints the ids and the pieces of each line of a text.");
  command
      ->add_option("--tokenizer", arguments->tokenizer,
                   "folder of a model or of only its tokenizer files, or a hub name")
      ->required()
      ->type_name("MODEL");
  command->add_option("file", arguments->file, "text in UTF-8; the default is standard input")->type_name("FILE");
  command->footer(
      "Prints two lines for each line: the ids, and below them the pieces as the vocabulary spells them. No BOS or\n"
      "EOS is added, and special tokens in the text become their own ids, as in training data. Control characters\n"
      "and backslashes are escaped. Exit code: 0, or 1 with one message on stderr.");
  command->callback([arguments] { tokenize(arguments->tokenizer, arguments->file); });
}

}  // namespace lockstep::data_prep
