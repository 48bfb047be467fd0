#include "models/weights/pickled_weights.h"

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <torch/torch.h>
#include <fstream>
#include <random>

#include "data/fixtures.h"
#include "models/weights/pickled_state.h"

namespace lockstep::models {
namespace {

using test::input_error;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string count_of(std::int64_t count) { return {'K', static_cast<char>(count)}; }

std::string text(const std::string& value) {
  const std::string length = {static_cast<char>(value.size()), 0, 0, 0};
  return fmt::format("X{}{}", length, value);
}

std::string tuple(const std::vector<std::int64_t>& counts) {
  std::string items;
  for (const std::int64_t count : counts) items += count_of(count);
  return fmt::format("({}t", items);
}

// Pickles a dict of tensors as torch.save() does; each tensor fills a storage "0", "1", ...
std::string pickle_of(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::string pickle = "\x80\x02}(";
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    const std::string type = tensor.scalar_type() == at::kHalf ? "HalfStorage" : "FloatStorage";
    const std::string storage = fmt::format("({}ctorch\n{}\n{}{}{}tQ", text("storage"), type, text(std::to_string(i)),
                                            text("cpu"), count_of(tensor.numel()));
    pickle += fmt::format(
        "{}ctorch._utils\n_rebuild_tensor_v2\n({}{}{}{}\x89"
        "ccollections\nOrderedDict\n)RtR",
        text(name), storage, count_of(0), tuple(tensor.sizes().vec()), tuple(tensor.strides().vec()));
  }
  return pickle + "u.";
}

std::string archive_of(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  std::string archive;
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* bytes, std::size_t count) {
    archive.append(static_cast<const char*>(bytes), count);
    return count;
  });
  const std::string pickle = pickle_of(tensors);
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    writer.writeRecord("data/" + std::to_string(i), tensors[i].second.const_data_ptr(), tensors[i].second.nbytes());
  }
  writer.writeEndOfFile();
  return archive;
}

TEST(PickledWeights, WhatTorchWritesIsReadAsItLies) {
  const test::TemporaryFolder folder;
  const std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"a", at::randn({2, 3})}, {"half", at::randn({5}).to(at::kHalf)}, {"transposed", at::randn({3, 4}).t()}};
  const PickledWeights file(folder.write("pytorch_model.bin", archive_of(tensors)));
  EXPECT_THAT(file.names(), ElementsAre("a", "half", "transposed"));
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(file.tensor(name).equal(tensor)) << name;
    EXPECT_EQ(file.tensor(name).scalar_type(), tensor.scalar_type()) << name;
  }
}

TEST(PickledWeights, ChangedBytesEndInAMessageOrInTensorsThatLieInTheFile) {
  const test::TemporaryFolder folder;
  const std::string whole = archive_of({{"a", at::randn({2, 3})}, {"b", at::randn({3, 4}).t()}});
  std::mt19937 random(std::random_device{}());
  std::size_t refused = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    for (std::size_t count = 1 + random() % 3; count > 0; --count) bytes[random() % bytes.size()] = random();
    if (round % 5 == 0) bytes.resize(random() % bytes.size());
    const auto path = folder.path() / "pytorch_model.bin";
    std::ofstream(path, std::ios::binary) << bytes;
    try {
      const PickledWeights file(path);
      for (const std::string& name : file.names()) file.tensor(name).to(at::kDouble).sum();
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
      ++refused;
    }
  }
  EXPECT_GT(refused, 200U);
}

TEST(PickledState, ContainersMayHoldThemselves) {
  const std::string cycle("\x80\x02}q\x00(X\x01\x00\x00\x00sh\x00u.", 16);
  EXPECT_THAT(test::input_error([&] { read_pickled_state(cycle); }), HasSubstr("'s' is not a tensor"));
}

TEST(PickledState, AnEmptyOneIsOne) { EXPECT_THAT(read_pickled_state("\x80\x02}."), SizeIs(0)); }

}  // namespace
}  // namespace lockstep::models
