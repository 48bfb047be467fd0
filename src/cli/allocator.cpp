// Options that jemalloc, which is linked if CMake finds it, reads before main(). Every step allocates the same large
// blocks again, so they are kept, on huge pages. glibc's allocator returns blocks above 32 MiB to the system, which
// then clears each of their pages again. All threads share one arena, since few of them allocate.
extern "C" const char* malloc_conf;
const char* malloc_conf = "oversize_threshold:0,thp:always,dirty_decay_ms:-1,narenas:1";
