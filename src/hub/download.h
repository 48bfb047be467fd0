#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hub/cache.h"
#include "hub/hub_client.h"

namespace lockstep::hub {

/// Returns the number of bytes of `file` that remain to be downloaded, or 0 if its size is unknown.
std::uint64_t missing_bytes(const CachedModel& model, const HubClient::File& file);

/// Makes `file` part of the commit in the cache. If no blob with its ETag is there yet, downloads it into
/// ETAG.incomplete (from which a later attempt, by any process, resumes), checks it against the ETag, and renames it.
/// Passes the number of new bytes to `on_bytes`. Throws Error if the download fails.
void fetch_into_cache(HubClient& client, const CachedModel& model, const std::string& commit,
                      const HubClient::File& file, const std::function<void(std::uint64_t)>& on_bytes);

}  // namespace lockstep::hub
