#include "tokenizer_json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "tokenizer_settings.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
namespace dom = simdjson::dom;

Json to_json(const dom::element& element) { return Json::parse(simdjson::minify(element)); }

// The element under `key`; null where there is none.
Json component(const dom::object& root, const char* key) {
  dom::element element;
  return root[key].get(element) == simdjson::SUCCESS ? to_json(element) : Json();
}

void read_vocabulary(const dom::object& tokens, Vocabulary& vocabulary) {
  vocabulary.reserve(tokens.size());
  for (const auto& [token, id] : tokens) vocabulary.add(token, static_cast<TokenId>(std::uint64_t{id}));
}

std::pair<std::string, std::string> split_merge(std::string_view text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) throw InputError(fmt::format("the merge '{}' is not a pair", text));
  return {std::string(text.substr(0, blank)), std::string(text.substr(blank + 1))};
}

void read_merges(const dom::array& merges, BpeModel::Merges& result) {
  result.reserve(merges.size());
  for (const dom::element merge : merges) {
    if (merge.is_array()) {
      result.emplace_back(std::string_view(merge.at(0)), std::string_view(merge.at(1)));
    } else {
      result.push_back(split_merge(std::string_view(merge)));
    }
  }
}

void read_pieces(const dom::array& pieces, UnigramModel::Pieces& result) {
  result.reserve(pieces.size());
  for (const dom::element piece : pieces) result.emplace_back(std::string_view(piece.at(0)), double{piece.at(1)});
}

// Older files leave the type out: only BPE has merges, only a Unigram's vocabulary is a list.
std::string guess_model_type(const dom::object& model) {
  dom::element element;
  if (model["merges"].get(element) == simdjson::SUCCESS) return "BPE";
  if (model["vocab"].is_array()) return "Unigram";
  return model["max_input_chars_per_word"].get(element) == simdjson::SUCCESS ? "WordPiece" : "WordLevel";
}

void read_model(const dom::object& model, TokenizerDefinition& definition) {
  for (const auto& [key, value] : model) {
    if (key == "vocab") {
      if (value.is_array()) {
        read_pieces(value, definition.pieces);
      } else {
        read_vocabulary(value, definition.vocabulary);
      }
    } else if (key == "merges") {
      read_merges(value, definition.merges);
    } else {
      definition.model_options[std::string(key)] = to_json(value);
    }
  }
  if (!definition.model_options.contains("type")) definition.model_options["type"] = guess_model_type(model);
}

// Calls `read` with the root object; what is wrong with the file becomes an InputError that names it.
template <typename Read>
void parse_file(const fs::path& path, const Read& read) {
  try {
    dom::parser parser;
    read(dom::object(parser.parse(read_file(path))));
  } catch (const simdjson::simdjson_error& error) {
    throw InputError(fmt::format("{}: not JSON of the expected form: {}", path.string(), error.what()));
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: not JSON of the expected form: {}", path.string(), error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", path.string(), error.what()));
  }
}

}  // namespace

TokenizerDefinition read_tokenizer_json(const fs::path& path) {
  TokenizerDefinition definition;
  parse_file(path, [&](const dom::object& root) {
    read_model(root["model"], definition);
    definition.normalizer = component(root, "normalizer");
    definition.pre_tokenizer = component(root, "pre_tokenizer");
    definition.post_processor = component(root, "post_processor");
    definition.decoder = component(root, "decoder");
    for (const Json& token : component(root, "added_tokens")) {
      definition.added_tokens.push_back(read_added_token(token, token.at("id").get<TokenId>()));
    }
  });
  return definition;
}

TokenizerDefinition read_vocab_and_merges(const fs::path& vocabulary, const fs::path& merges) {
  TokenizerDefinition definition;
  definition.model_options["type"] = "BPE";
  parse_file(vocabulary, [&](const dom::object& root) { read_vocabulary(root, definition.vocabulary); });
  const std::string text = read_file(merges);
  try {
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty() && !line.starts_with("#version")) definition.merges.push_back(split_merge(line));
    }
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", merges.string(), error.what()));
  }
  return definition;
}

}  // namespace lockstep
