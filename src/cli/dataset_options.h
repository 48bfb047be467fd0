#pragma once

#include <CLI/CLI.hpp>

#include "lockstep/data/dataset.h"

namespace lockstep::cli {

// Adds the options that define how the rows of a dataset become inputs and outputs, like the keys of a job file.
void add_dataset_options(CLI::App& command, DatasetOptions& options);

}  // namespace lockstep::cli
