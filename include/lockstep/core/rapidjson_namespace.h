#pragma once

// To be included before RapidJSON: other libraries of the process export theirs, of other versions.
#define RAPIDJSON_NAMESPACE lockstep::rapidjson
#define RAPIDJSON_NAMESPACE_BEGIN namespace lockstep::rapidjson {
#define RAPIDJSON_NAMESPACE_END }
#if defined(__SSE2__)
#define RAPIDJSON_SSE2
#elif defined(__ARM_NEON)
#define RAPIDJSON_NEON
#endif
