#include "lockstep/core/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <cstdio>
#include <memory>

#include "lockstep/core/error.h"

namespace lockstep::core {

void initialise_logging(int rank) {
  auto logger = std::make_shared<spdlog::logger>("lockstep", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::err);
  logger->set_pattern(rank == 0 ? "%H:%M:%S %^%l%$: %v" : fmt::format("%H:%M:%S %^%l%$: rank {}: %v", rank));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log_to_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%dT%H:%M:%S%z %l: %v");
    spdlog::default_logger()->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw InputError(
        fmt::format("{}: cannot write the log: {}; give another logging_dir", path.string(), error.what()));
  }
}

void report_error(const std::string& message) {
  fmt::print(stderr, "lockstep: error: {}\n", message);
  std::fflush(stderr);
}

}  // namespace lockstep::core
