// Options that jemalloc reads before main(). Large blocks are kept for the next shard instead of being returned to the
// system, and use huge pages. Threads often free what other threads allocated, which glibc's allocator serializes.
extern "C" const char* malloc_conf;
const char* malloc_conf = "oversize_threshold:0,thp:always";
