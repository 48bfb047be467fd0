// What jemalloc, which lockstep-prep is linked with, reads before main(): large blocks are kept for the next shard
// instead of being given back, and stand on huge pages. Threads free what others allocated all the time here, which
// glibc's allocator serializes.
extern "C" const char* malloc_conf;
const char* malloc_conf = "oversize_threshold:0,thp:always";
