#include "text/components/post_processor.h"

#include <fmt/format.h>

#include "lockstep/core/error.h"
#include "text/formats/tokenizer_settings.h"

namespace lockstep::text {
namespace {

void read_template(const Json& json, SpecialTokensAround& frame) {
  auto* side = &frame.before;
  std::size_t texts = 0;
  for (const Json& part : json.at("single")) {
    if (part.contains("Sequence")) {
      side = &frame.behind;
      ++texts;
      continue;
    }
    const auto name = part.at("SpecialToken").at("id").get<std::string>();
    for (const Json& id : json.at("special_tokens").at(name).at("ids")) side->push_back(read_token_id(id));
  }
  if (texts != 1) {
    throw InputError(fmt::format(
        "post_processor.single: expected the text exactly once, found {} times in {}; use a template such as "
        "\"<s> $A </s>\"",
        texts, json.at("single").dump()));
  }
}

}  // namespace

SpecialTokensAround read_post_processor(const Json& json) {
  SpecialTokensAround frame;
  if (json.is_null()) return frame;
  const std::string type = json.is_object() ? json.value("type", "") : json.dump();
  if (type == "Sequence") {
    for (const Json& part : json.at("processors")) {
      const SpecialTokensAround inner = read_post_processor(part);
      frame.before.insert(frame.before.begin(), inner.before.begin(), inner.before.end());
      frame.behind.insert(frame.behind.end(), inner.behind.begin(), inner.behind.end());
    }
  } else if (type == "TemplateProcessing") {
    read_template(json, frame);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    frame.before.push_back(read_token_id(json.at("cls").at(1)));
    frame.behind.push_back(read_token_id(json.at("sep").at(1)));
  } else if (type != "ByteLevel") {
    throw InputError(fmt::format("the post_processor '{}' is not supported", type));
  }
  return frame;
}

}  // namespace lockstep::text
