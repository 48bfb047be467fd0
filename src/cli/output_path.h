#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/data/dataset.h"

namespace lockstep::cli {

/// Makes an option expand "~" at the start of its path, which shells leave in place in --option=~/path.
CLI::Option* expand_home_in(CLI::Option* option);

/// Throws InputError if `output`, the value of --output, names a file that the command reads: one of `dataset`, or one
/// of the folder `model`. Links and other spellings of the same file count as the file.
void check_output_is_no_input(const std::string& output, const Dataset& dataset, const std::string& model);

}  // namespace lockstep::cli
