#pragma once

#include <CLI/CLI.hpp>

namespace lockstep::data_prep {

/// Each function adds one subcommand to lockstep-prep. The subcommand runs while the command line is parsed, and throws
/// on failure.
void add_download_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_verify_command(CLI::App& app);

}  // namespace lockstep::data_prep
