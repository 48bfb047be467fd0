#pragma once

#include <CLI/CLI.hpp>

#include "lockstep/data/dataset.h"

namespace lockstep::cli {

// Adds the options of a command that say how the rows of its dataset become inputs and outputs, as the keys of a job
// do.
void add_dataset_options(CLI::App& command, DatasetOptions& options);

}  // namespace lockstep::cli
