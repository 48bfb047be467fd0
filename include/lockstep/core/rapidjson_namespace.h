#pragma once

// Must be included before RapidJSON: other libraries in the process export their own versions of its symbols.
#define RAPIDJSON_NAMESPACE lockstep::rapidjson
#define RAPIDJSON_NAMESPACE_BEGIN namespace lockstep::rapidjson {
#define RAPIDJSON_NAMESPACE_END }
#if defined(__SSE2__)
#define RAPIDJSON_SSE2
#elif defined(__ARM_NEON)
#define RAPIDJSON_NEON
#endif
