#include "lockstep/generation/decoding.h"

#include <gmock/gmock.h>

#include "data/fixtures.h"
#include "lockstep/core/error.h"
#include "models/bigram_model.h"

namespace lockstep::generation {
namespace {

using test::BigramModel;
using test::ByteTokenizer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t kVocabulary = 12;
constexpr TokenId kEos = test::ByteTokenizer::kEos;

// Returns a model that generates 3 -> 4 -> 5 -> ... -> 11 -> EOS, with `positions` learned positions, if given.
test::BigramModel counting_model(std::optional<std::int64_t> positions = std::nullopt) {
  models::ModelInfo info = test::bigram_info(kVocabulary);
  info.max_positions = positions;
  test::BigramModel model(std::move(info));
  const at::NoGradGuard no_grad;
  for (std::int64_t token = 3; token + 1 < kVocabulary; ++token) model.weight[token][token + 1] = 1;
  model.weight[kVocabulary - 1][kEos] = 1;
  return model;
}

std::vector<Generated> generate_from(LanguageModel& model, const std::vector<std::vector<TokenId>>& prompts,
                                     GenerationOptions options, bool adds_bos = false) {
  return generate_ids(model, test::ByteTokenizer(adds_bos), prompts, options);
}

TEST(Decoding, StopsAtEosOrAtMaxNewTokens) {
  test::BigramModel model = counting_model();
  const auto results = generate_from(model, {{9}, {3}}, {.max_new_tokens = 4, .batch_size = 2});
  EXPECT_THAT(results[0].ids, ElementsAre(10, 11, kEos));
  EXPECT_TRUE(results[0].reached_eos);
  EXPECT_THAT(results[1].ids, ElementsAre(4, 5, 6, 7));
  EXPECT_FALSE(results[1].reached_eos);
}

TEST(Decoding, TheBatchSizeChangesNothingAndRowsKeepTheirOrder) {
  test::BigramModel model = counting_model();
  std::vector<std::vector<TokenId>> prompts;
  for (std::size_t i = 0; i < 9; ++i) prompts.push_back(std::vector<TokenId>(i + 1, static_cast<TokenId>(11 - i)));
  for (const Strategy& strategy : strategies()) {
    GenerationOptions options{.max_new_tokens = 20, .batch_size = 1, .strategy = strategy};
    const auto alone = generate_from(model, prompts, options);
    for (const std::size_t batch_size : {2U, 4U, 100U}) {
      options.batch_size = batch_size;
      const auto together = generate_from(model, prompts, options);
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(together[i].ids, alone[i].ids) << name_of(strategy) << ", row " << i;
      }
    }
  }
}

TEST(Decoding, ReportsItsProgressWithEachToken) {
  test::BigramModel model = counting_model();
  std::vector<std::size_t> done;
  generate_ids(model, test::ByteTokenizer(false), {{11}, {10}, {9}}, {.max_new_tokens = 20, .batch_size = 2},
               [&](std::size_t rows_done) { done.push_back(rows_done); });
  EXPECT_THAT(done, ElementsAre(1, 2, 2, 2, 3));
}

TEST(Decoding, IsEndedWithinABatchByWhatItsProgressThrows) {
  test::BigramModel model = counting_model();
  const auto stop = [](std::size_t) { throw Error("stopped"); };
  EXPECT_THROW(generate_ids(model, test::ByteTokenizer(false), {{3}}, {.max_new_tokens = 20}, stop), Error);
  EXPECT_EQ(model.decoded_rows, 1);  // only the prompt
}

TEST(Decoding, FinishedRowsCostNothingMore) {
  test::BigramModel model = counting_model();
  generate_from(model, {{11}, {11}, {10}}, {.max_new_tokens = 20, .batch_size = 3});
  EXPECT_EQ(model.decoded_rows, 3 + 1);  // all three rows once, then only the last
}

TEST(Decoding, TheGenerationConfigNamesTheEndsOfAText) {
  models::ModelInfo info = test::bigram_info(kVocabulary);
  info.config = {{"eos_token_id", 5}};
  info.generation_config = {{"eos_token_id", {7, 8}}};
  test::BigramModel model(std::move(info));
  model.weight.data().copy_(counting_model().weight);
  EXPECT_THAT(generate_from(model, {{4}}, {.max_new_tokens = 20}).front().ids, ElementsAre(5, 6, 7));
}

TEST(Decoding, PromptAndAnswerShareTheLearnedPositions) {
  test::BigramModel model = counting_model(8);
  const auto results = generate_from(model, {{3, 3, 3, 3, 3}, {3}}, {.max_new_tokens = 100, .batch_size = 2});
  EXPECT_EQ(results[0].ids.size(), 3U);
  EXPECT_EQ(results[1].ids.size(), 7U);
}

TEST(Decoding, ALongPromptLosesItsBeginningButNotBos) {
  test::BigramModel model = counting_model(8);
  const std::vector<TokenId> prompt = {test::ByteTokenizer::kBos, 9, 9, 9, 9, 9, 9, 9, 9, 3};
  const auto results = generate_from(model, {prompt}, {.max_new_tokens = 100}, /*adds_bos=*/true);
  EXPECT_THAT(results.front().ids, ElementsAre(4, 5));  // a quarter of the positions is reserved for the answer
}

TEST(Decoding, OptionsOutOfRangeAreRefused) {
  test::BigramModel model = counting_model();
  EXPECT_THAT([&] { generate_from(model, {{3}}, {.max_new_tokens = 0}); },
              ThrowsMessage<InputError>(HasSubstr("max_new_tokens: expected at least 1, found 0")));
  EXPECT_THAT([&] { generate_from(model, {{3}}, {.batch_size = 0}); },
              ThrowsMessage<InputError>(HasSubstr("batch_size: expected at least 1, found 0")));
}

TEST(Decoding, APromptWithoutTokensIsRefused) {
  test::BigramModel model = counting_model();
  EXPECT_THAT([&] { generate_from(model, {{3}, {}}, {}); }, ThrowsMessage<InputError>(HasSubstr("prompt 2")));
}

TEST(Decoding, PromptsAreEncodedAsInTraining) {
  EXPECT_EQ(encode_prompt(test::ByteTokenizer(), true, "a"), (std::vector<TokenId>{'a' + 3, kEos}));
  EXPECT_EQ(encode_prompt(test::ByteTokenizer(), false, "a"), (std::vector<TokenId>{'a' + 3}));
  EXPECT_EQ(encode_prompt(test::ByteTokenizer(true), false, "a"),
            (std::vector<TokenId>{test::ByteTokenizer::kBos, 'a' + 3}));
}

}  // namespace
}  // namespace lockstep::generation
