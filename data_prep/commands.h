#pragma once

#include <CLI/CLI.hpp>

namespace lockstep::data_prep {

/// Each adds one subcommand of lockstep-prep, which runs while the command line is parsed, and throws what goes wrong.
void add_download_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_verify_command(CLI::App& app);

}  // namespace lockstep::data_prep
