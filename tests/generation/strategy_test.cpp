#include "lockstep/generation/strategy.h"

#include <gmock/gmock.h>

#include <set>

#include "lockstep/core/error.h"
#include "lockstep/core/json.h"

namespace lockstep::generation {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// KeyTable::values() quotes texts as JSON.
std::string unquoted(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_string() ? json.get<std::string>() : text;
}

TEST(Strategy, IsMadeByItsNameWithEachOfItsSettings) {
  std::set<std::string_view> names;
  for (Strategy& strategy : strategies()) {
    names.insert(name_of(strategy));
    EXPECT_EQ(make_strategy(name_of(strategy), {}).index(), strategy.index());
    for (const auto& [key, text] : settings_of(strategy).values()) {
      Strategy made = make_strategy(name_of(strategy), {{key, unquoted(text)}});
      EXPECT_EQ(settings_of(made).values(), settings_of(strategy).values()) << key;
    }
  }
  EXPECT_EQ(names.size(), strategies().size());
  EXPECT_EQ(name_of(strategies().front()), "greedy");
}

TEST(Strategy, RefusesOtherNamesAndSettings) {
  EXPECT_THAT([] { make_strategy("gready", {}); },
              ThrowsMessage<InputError>(HasSubstr("strategy: expected one of: greedy")));
  EXPECT_THAT(
      [] {
        make_strategy("greedy", {{"heat", "1"}});
      },
      ThrowsMessage<InputError>(HasSubstr("heat: the strategy 'greedy' does not have this setting")));
}

}  // namespace
}  // namespace lockstep::generation
