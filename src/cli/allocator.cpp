// What jemalloc, which lockstep is linked with where CMake finds it, reads before main(). Every step allocates the same
// large blocks again: they are kept, on huge pages, where glibc's allocator gives those above 32 MiB back to the system
// and has each page cleared anew. All threads share what is kept; few of them allocate.
extern "C" const char* malloc_conf;
const char* malloc_conf = "oversize_threshold:0,thp:always,dirty_decay_ms:-1,narenas:1";
