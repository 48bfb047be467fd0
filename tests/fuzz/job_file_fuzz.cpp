// Fuzzes a job file and, after a NUL, an override from the command line.
#include "lockstep/job/job_file.h"

#include "fuzz_input.h"
#include "lockstep/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lockstep;
  static const fuzz::InputFolder folder;
  const auto parts = fuzz::split_at_nul(fuzz::as_text(data, size), 2);
  std::vector<std::string> overrides;
  if (!parts[1].empty()) overrides.emplace_back(parts[1]);
  try {
    const job::JobFile job = job::load_job_file(folder.write("job.yaml", parts[0]), overrides);
    fuzz::require(job.validation_split >= 0 && job.validation_split < 1, "a share is in its range");
  } catch (const Error&) {
  }
  return 0;
}
