// job_probe reads a JSON object per line of standard input: the text of a job file and its overrides. It prints, for
// each, the values of all keys, or the error. The oracles use it.

#include <unistd.h>
#include <filesystem>
#include <iostream>
#include <string>

#include "lockstep/core/atomic_file.h"
#include "lockstep/core/error.h"
#include "lockstep/core/json.h"
#include "lockstep/job/job_file.h"

namespace {

using lockstep::Json;

Json probe(const Json& request, const std::filesystem::path& path) {
  lockstep::core::write_file(path, request.at("text").get<std::string>());
  try {
    Json values;
    for (const auto& [key, value] : lockstep::job::load_job_file(path, request.at("overrides")).values()) {
      values[key] = value;
    }
    return {{"values", values}};
  } catch (const lockstep::InputError& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  const auto path = std::filesystem::temp_directory_path() / ("job_probe_" + std::to_string(::getpid()) + ".yaml");
  for (std::string line; std::getline(std::cin, line);) std::cout << probe(Json::parse(line), path).dump() << '\n';
  std::filesystem::remove(path);
}
