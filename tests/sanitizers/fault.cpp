#include <cstdio>
#include <limits>
#include <string_view>

// Commits the error that its argument names. The sanitizers must report it, or smoke.py proves nothing.
int main(int count, char** arguments) {
  if (count != 2) return 0;
  const std::string_view fault = arguments[1];
  if (fault == "heap-buffer-overflow") {
    volatile int* const values = new int[2]{};
    const int value = values[count];
    delete[] values;
    return value;
  }
  if (fault == "signed integer overflow") std::printf("%d\n", std::numeric_limits<int>::max() - 1 + count);
  if (fault == "detected memory leaks") {
    // The address of one block may stay in a register or on the stack, where LeakSanitizer takes it for a reference.
    for (int i = 0; i < 100; ++i) std::printf("%p\n", static_cast<void*>(new int(count)));
  }
  return 0;
}
