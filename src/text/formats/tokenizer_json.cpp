#include "text/formats/tokenizer_json.h"

#include "lockstep/core/rapidjson_namespace.h"  // before RapidJSON

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/encodedstream.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <algorithm>
#include <charconv>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {
namespace {

namespace fs = std::filesystem;
using Value = rapidjson::Value;

[[noreturn]] void refuse(const char* expected) { throw InputError(fmt::format("expected {}", expected)); }

std::string_view text_of(const Value& value) {
  if (!value.IsString()) refuse("a text as token");
  return {value.GetString(), value.GetStringLength()};
}

// Returns an element of a list of lists.
const Value& item(const Value& list, rapidjson::SizeType index) {
  if (!list.IsArray() || list.Size() <= index) refuse("pairs in the model's lists");
  return list[index];
}

Json to_json(const Value& value) {
  rapidjson::StringBuffer text;
  rapidjson::Writer<rapidjson::StringBuffer> writer(text);
  value.Accept(writer);
  return Json::parse(text.GetString(), text.GetString() + text.GetSize());
}

// Returns the value of `key`, or null if it is missing.
Json component(const Value& root, const char* key) {
  const auto found = root.FindMember(key);
  return found == root.MemberEnd() ? Json() : to_json(found->value);
}

void read_vocabulary(const Value& tokens, Vocabulary& vocabulary) {
  vocabulary.reserve(tokens.MemberCount());
  for (const auto& [token, id] : tokens.GetObject()) {
    if (!id.IsUint()) refuse("ids as the values of the vocabulary");
    vocabulary.add(text_of(token), id.GetUint());
  }
}

std::pair<std::string, std::string> split_merge(std::string_view text) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos) throw InputError(fmt::format("the merge '{}' is not a pair", text));
  return {std::string(text.substr(0, blank)), std::string(text.substr(blank + 1))};
}

void read_merges(const Value& merges, BpeModel::Merges& result) {
  if (!merges.IsArray()) refuse("a list as the model's merges");
  result.reserve(merges.Size());
  for (const Value& merge : merges.GetArray()) {
    if (merge.IsArray()) {
      result.emplace_back(text_of(item(merge, 0)), text_of(item(merge, 1)));
    } else {
      result.push_back(split_merge(text_of(merge)));
    }
  }
}

void read_pieces(const Value& pieces, UnigramModel::Pieces& result) {
  result.reserve(pieces.Size());
  for (const Value& piece : pieces.GetArray()) {
    const Value& score = item(piece, 1);
    if (!score.IsNumber()) refuse("a number as the score of a piece");
    result.emplace_back(text_of(item(piece, 0)), score.GetDouble());
  }
}

// Guesses a type that older files omit: only BPE has merges, and only a Unigram model's vocabulary is a list.
std::string guess_model_type(const Value& model) {
  if (model.HasMember("merges")) return "BPE";
  const auto vocabulary = model.FindMember("vocab");
  if (vocabulary != model.MemberEnd() && vocabulary->value.IsArray()) return "Unigram";
  return model.HasMember("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
}

void read_model(const Value& model, TokenizerDefinition& definition) {
  if (!model.IsObject()) refuse("an object as the model");
  for (const auto& [key, value] : model.GetObject()) {
    const std::string_view name = text_of(key);
    if (name == "vocab" && value.IsArray()) {
      read_pieces(value, definition.pieces);
    } else if (name == "vocab") {
      if (!value.IsObject()) refuse("a list or an object as the model's vocab");
      read_vocabulary(value, definition.vocabulary);
    } else if (name == "merges") {
      read_merges(value, definition.merges);
    } else {
      definition.model_options[std::string(name)] = to_json(value);
    }
  }
  if (!definition.model_options.contains("type")) definition.model_options["type"] = guess_model_type(model);
}

// Passes the parsed values on to a document, but parses numbers exactly: RapidJSON's own result for "0e130" is
// undefined.
class DocumentBuilder {
 public:
  explicit DocumentBuilder(rapidjson::Document& document) : document_(document) {}

  // NOLINTBEGIN(readability-identifier-naming): RapidJSON calls these
  bool Null() { return document_.Null(); }
  bool Bool(bool value) { return document_.Bool(value); }
  bool Int(int value) { return document_.Int(value); }
  bool Uint(unsigned value) { return document_.Uint(value); }
  bool Int64(std::int64_t value) { return document_.Int64(value); }
  bool Uint64(std::uint64_t value) { return document_.Uint64(value); }
  bool Double(double value) { return document_.Double(value); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    const char* end = text + size;
    std::uint64_t natural = 0;
    if (std::from_chars(text, end, natural).ptr == end) return document_.Uint64(natural);
    std::int64_t integer = 0;
    if (std::from_chars(text, end, integer).ptr == end && integer != 0) return document_.Int64(integer);
    double number = 0;
    if (std::from_chars(text, end, number).ec == std::errc()) return document_.Double(number);
    throw InputError(fmt::format("the number {} is out of range for a double", std::string_view(text, size)));
  }
  bool String(const char* text, rapidjson::SizeType size, bool copy) { return document_.String(text, size, copy); }
  bool Key(const char* text, rapidjson::SizeType size, bool copy) { return document_.Key(text, size, copy); }
  bool StartObject() { return document_.StartObject(); }
  bool EndObject(rapidjson::SizeType members) { return document_.EndObject(members); }
  bool StartArray() { return document_.StartArray(); }
  bool EndArray(rapidjson::SizeType elements) { return document_.EndArray(elements); }
  // NOLINTEND(readability-identifier-naming)

 private:
  rapidjson::Document& document_;
};

rapidjson::Document parse_document(const std::string& text) {
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseValidateEncodingFlag;
  core::check_json_nesting(text);
  rapidjson::MemoryStream bytes(text.data(), text.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  rapidjson::Reader reader;
  rapidjson::Document document;
  auto parse = [&](rapidjson::Document& target) {
    DocumentBuilder builder(target);
    return !reader.Parse<kFlags>(stream, builder).IsError();
  };
  document.Populate(parse);
  if (reader.HasParseError()) {
    throw InputError(fmt::format("{} at byte {}", rapidjson::GetParseError_En(reader.GetParseErrorCode()),
                                 reader.GetErrorOffset() + 1));
  }
  return document;
}

// Calls `read` with the root object. Turns every error in the file into an InputError that names the file.
template <typename Read>
void parse_file(const fs::path& path, const Read& read) {
  const std::string text = core::read_file(path);
  try {
    const rapidjson::Document document = parse_document(text);
    if (!document.IsObject()) refuse("a JSON object");
    read(document);
  } catch (const Json::exception& error) {
    throw InputError(fmt::format("{}: not JSON of the expected form: {}", path.string(), error.what()));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: not JSON of the expected form: {}", path.string(), error.what()));
  }
}

}  // namespace

TokenizerDefinition read_tokenizer_json(const fs::path& path) {
  TokenizerDefinition definition;
  parse_file(path, [&](const Value& root) {
    const auto model = root.FindMember("model");
    if (model == root.MemberEnd()) refuse("a model");
    read_model(model->value, definition);
    definition.normalizer = component(root, "normalizer");
    definition.pre_tokenizer = component(root, "pre_tokenizer");
    definition.post_processor = component(root, "post_processor");
    definition.decoder = component(root, "decoder");
    if (const Json padding = component(root, "padding"); padding.is_object()) {
      definition.padding_token = read_token_text(padding, "pad_token");
    }
    for (const Json& token : component(root, "added_tokens")) {
      definition.added_tokens.push_back(read_added_token(token, read_token_id(token.at("id"))));
    }
  });
  return definition;
}

TokenizerDefinition read_vocab_and_merges(const fs::path& vocabulary, const fs::path& merges) {
  TokenizerDefinition definition;
  definition.model_options["type"] = "BPE";
  parse_file(vocabulary, [&](const Value& root) { read_vocabulary(root, definition.vocabulary); });
  const std::string text = core::read_file(merges);
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

}  // namespace lockstep::text
