// Fuzzes config.json: what lockstep-prep reads from it, and each of its keys as the models read it.
#include "models/config.h"

#include "fuzz_input.h"
#include "lockstep/core/error.h"
#include "lockstep/data/model_folder.h"

namespace lockstep::fuzz {
namespace {

void read_key(const Json& config, const char* key) {
  const auto attempt = [&](const auto& read) {
    try {
      read();
    } catch (const Error&) {
    }
  };
  attempt([&] { require(models::config_integer(config, key, 1) >= 1, "an integer is in its range"); });
  attempt([&] { require(models::config_token(config, key, 0) >= 0, "a token is in its range"); });
  attempt([&] { models::config_number(config, key, 0); });
  attempt([&] {
    const double probability = models::config_probability(config, key, 0);
    require(probability >= 0 && probability < 1, "a probability is in its range");
  });
  attempt([&] { models::config_flag(config, key, false); });
  attempt([&] { models::config_text(config, key, ""); });
  attempt([&] { models::refuse_config_flag(config, key); });
}

}  // namespace
}  // namespace lockstep::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const fuzz::InputFolder folder;
  const auto path = folder.write("config.json", fuzz::as_text(data, size));
  try {
    const Json config = core::read_json_file(path);
    if (config.is_object()) {
      for (const auto& [key, value] : config.items()) fuzz::read_key(config, key.c_str());
    }
    const data::ModelFolder model = data::describe_model_folder(folder.path());
    fuzz::require(model.vocabulary_size > 0, "a model has a vocabulary");
  } catch (const Error&) {
  }
  return 0;
}
