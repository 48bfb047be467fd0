#include "lockstep/models/weights/safetensors.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "data/fixtures.h"

namespace lockstep::models {
namespace {

using test::input_error;
using test::TemporaryFolder;
using testing::HasSubstr;

// Returns the bytes of a file with the given header and tensor data.
std::string file_of(const std::string& header, const std::string& tensors) {
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + tensors;
}

TEST(Safetensors, WhatIsWrittenIsReadBack) {
  const test::TemporaryFolder folder;
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {{"a", at::randn({2, 3})},
                                                                   {"scalar", at::scalar_tensor(4, at::kLong)},
                                                                   {"half", at::randn({5}).to(at::kBFloat16)},
                                                                   {"transposed", at::randn({3, 4}).t()},
                                                                   {"nothing", at::empty({0, 7})}};
  write_safetensors(folder.path() / "file", tensors);
  const SafetensorsFile file(folder.path() / "file");
  EXPECT_EQ(file.names().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(file.tensor(name).equal(tensor)) << name;
    EXPECT_EQ(file.tensor(name).scalar_type(), tensor.scalar_type()) << name;
  }
}

TEST(Safetensors, MalformedFilesAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "too few for a header"},
      {std::string(8, '\xff'), "claims"},
      {file_of("{", ""), "not valid JSON"},
      {file_of("[]", ""), "not a JSON object"},
      {file_of(std::string(100'000, '['), ""), "at most 200 levels"},
      {file_of(std::string("{}\0", 3), ""), "a NUL"},
      {file_of(R"({"a": 3})", ""), "'a' is not an object"},
      {file_of(R"({"a": {"shape": [], "data_offsets": [0, 4]}})", "1234"), "'a' has no dtype"},
      {file_of(R"({"a": {"dtype": "F32", "data_offsets": [0, 4]}})", "1234"), "'a' has no shape"},
      {file_of(R"({"a": {"dtype": "F32", "shape": []}})", "1234"), "'a' has no data_offsets"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4, 8]}})", "1234"), "[0,4,8], not two"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [-4, 0]}})", "1234"), "[-4,0], not two"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}})", "1234"), "impossible shape"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [0, 4611686018427387904, 4], "data_offsets": [0, 0]}})", ""),
       "impossible shape"},
      {file_of(R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
                   "b": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}})",
               "123"),
       "which overlaps"},
      {file_of(R"({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}})", "1234"),
       "unknown dtype \"F99\" (known are F32, F16"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", "123"), "the file holds 3"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", "1234"), "needs 8 bytes"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", "1234"), "impossible shape"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 2], "data_offsets": [0, 4]}})", "1234"),
       "impossible shape"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", "1234"), "bytes 4 to 0"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", "12345678"), "which leaves a gap"},
      {file_of(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", "12345678"), "the file holds 8"},
      {file_of(R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "a": {}})", "1"), "twice"},
  };
  const test::TemporaryFolder folder;
  for (const auto& [bytes, expected] : cases) {
    const auto path = folder.write("model.safetensors", bytes);
    const std::string message = test::input_error([&] { SafetensorsFile file(path); });
    EXPECT_THAT(message, HasSubstr("model.safetensors"));
    EXPECT_THAT(message, HasSubstr(expected));
  }
}

TEST(Safetensors, AMissingFileIsNamed) {
  EXPECT_THAT(test::input_error([] { SafetensorsFile file("/nowhere/model.safetensors"); }),
              HasSubstr("/nowhere/model.safetensors"));
}

}  // namespace
}  // namespace lockstep::models
