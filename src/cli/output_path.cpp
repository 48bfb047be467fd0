#include "cli/output_path.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <string_view>

#include "lockstep/core/error.h"
#include "lockstep/core/home_folder.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

// Of files in the folders of models and saved datasets. Outputs of other kinds may lie there.
constexpr std::array<std::string_view, 6> kInputExtensions{".json", ".safetensors", ".bin", ".model", ".txt", ".arrow"};

std::string expand(std::string& path) {
  try {
    path = core::expand_home(path);
  } catch (const InputError& error) {
    return error.what();
  }
  return {};
}

bool names_same(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

bool is_input_in(const fs::path& output, const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(output, error)) return false;
  const fs::path file = fs::canonical(output, error);
  const bool may_be_input = std::ranges::find(kInputExtensions, file.extension().string()) != kInputExtensions.end();
  return may_be_input && names_same(file.parent_path(), folder);
}

}  // namespace

CLI::Option* expand_home_in(CLI::Option* option) { return option->transform(CLI::Validator(&expand, "")); }

void check_output_is_no_input(const std::string& output, const Dataset& dataset, const std::string& model) {
  const auto refuse = [&](const fs::path& input) {
    throw InputError(
        fmt::format("--output: expected another file than those that are read, found {}, which names {}; "
                    "give another file",
                    output, input.string()));
  };
  for (const auto& file : dataset.files()) {
    if (names_same(output, file)) refuse(file);
    const bool is_saved = dataset.files().size() > 1 || file.string() != dataset.name();
    if (is_saved && is_input_in(output, file.parent_path())) refuse(output);
    if (is_saved && is_input_in(output, file.parent_path().parent_path())) refuse(output);
  }
  if (is_input_in(output, model)) refuse(output);
}

}  // namespace lockstep::cli
