#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "hub/cache.h"
#include "hub/hub_client.h"

namespace lockstep::hub {

/// Bytes of `file` that are still to be fetched, as far as its size is known.
std::uint64_t missing_bytes(const CachedModel& model, const HubClient::File& file);

/// Makes `file` part of the commit in the cache. If no other model file has the same content there yet, it is fetched
/// into ETAG.incomplete, which the next attempt, of this process or another, continues; checked against its ETag; and
/// then renamed. `on_bytes` learns how many bytes have come. Throws Error if it cannot be had.
void fetch_into_cache(HubClient& client, const CachedModel& model, const std::string& commit,
                      const HubClient::File& file, const std::function<void(std::uint64_t)>& on_bytes);

}  // namespace lockstep::hub
