#pragma once

#include <CLI/CLI.hpp>

namespace lockstep::cli {

// The message of commands that are stopped before they have written anything.
inline constexpr const char* kNothingWritten = "nothing was written; run the same command again";

// Each function adds a subcommand, whose callback does the work and throws on failure.
void add_train_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_evaluate_command(CLI::App& app);
void add_models_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_merge_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_doctor_command(CLI::App& app);
void add_submit_command(CLI::App& app);

}  // namespace lockstep::cli
