// What kernels share with the runtime and Rust cannot write: a thread-local variable, and functions that
// know where they were called from. Compiled beside the kernels, without their sanitizer.
typedef unsigned long word;
#define CALLER word(__builtin_return_address(0))

extern "C" {
__thread const void* emulated_thread;
const void** emulated_running_thread() { return &emulated_thread; }

#ifdef EMULATED_CHECKED
bool emulated_is_checked() { return true; }
#else
bool emulated_is_checked() { return false; }
#endif

// g++ -fsanitize=thread calls these instead of trusting a load or a store; the library that usually
// answers is not linked. src/device/emulator/access.rs does.
void emulated_access(word address, word bytes, bool writes, word at);
void emulated_atomic(word address, word bytes, word at);

// Verbs of kernels/ptx.cuh that access memory; copies.rs and matrix.rs answer.
void emulated_copy_async_at(void* to, const void* from, unsigned bytes, word at);
void emulated_copy_async_wait_at(unsigned open, word at);
struct Site { const char* file; unsigned line; };
void emulated_load_matrices_at(unsigned* r, const void* row, bool transposed, Site site, word at);
void emulated_store_matrices_at(void* row, const unsigned* r, bool transposed, Site site, word at);
void emulated_copy_async(void* to, const void* from, unsigned bytes) { emulated_copy_async_at(to, from, bytes, CALLER); }
void emulated_copy_async_wait(unsigned open) { emulated_copy_async_wait_at(open, CALLER); }
void emulated_load_matrices(unsigned* r, const void* row, bool transposed, Site site) {
  emulated_load_matrices_at(r, row, transposed, site, CALLER);
}
void emulated_store_matrices(void* row, const unsigned* r, bool transposed, Site site) {
  emulated_store_matrices_at(row, r, transposed, site, CALLER);
}

#define ACCESSES(bytes)                                                                          \
  void __tsan_read##bytes(word a) { emulated_access(a, bytes, false, CALLER); }                  \
  void __tsan_write##bytes(word a) { emulated_access(a, bytes, true, CALLER); }                  \
  void __tsan_unaligned_read##bytes(word a) { emulated_access(a, bytes, false, CALLER); }        \
  void __tsan_unaligned_write##bytes(word a) { emulated_access(a, bytes, true, CALLER); }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(word a, word bytes) { emulated_access(a, bytes, false, CALLER); }
void __tsan_write_range(word a, word bytes) { emulated_access(a, bytes, true, CALLER); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// And these, where the language has no answer: they know the line.
struct Location { const char* file; unsigned line, column; };
void emulated_fail(const char* why, Site site);
#define UNDEFINED(what, why) \
  void __ubsan_handle_##what##_abort(const Location* at) { emulated_fail(why, {at->file, at->line}); }
UNDEFINED(divrem_overflow, "an integer division by zero, or one that overflows")
UNDEFINED(out_of_bounds, "an index outside its array")
UNDEFINED(shift_out_of_bounds, "a shift by more bits than there are")
UNDEFINED(type_mismatch_v1, "an address that is not aligned as its type must be")
UNDEFINED(float_cast_overflow, "a float outside the range of the integer it becomes")

#define CHECKED(T, call) (emulated_atomic(word(a), sizeof(T), CALLER), call)
#define UPDATE(bits, T, name) \
  T __tsan_atomic##bits##_##name(T* a, T v, int) { return CHECKED(T, __atomic_##name(a, v, __ATOMIC_SEQ_CST)); }
#define ATOMICS(bits, T)                                                                                         \
  T __tsan_atomic##bits##_load(T* a, int) { return CHECKED(T, __atomic_load_n(a, __ATOMIC_SEQ_CST)); }           \
  void __tsan_atomic##bits##_store(T* a, T v, int) { CHECKED(T, __atomic_store_n(a, v, __ATOMIC_SEQ_CST)); }     \
  T __tsan_atomic##bits##_exchange(T* a, T v, int) { return CHECKED(T, __atomic_exchange_n(a, v, __ATOMIC_SEQ_CST)); } \
  UPDATE(bits, T, fetch_add) UPDATE(bits, T, fetch_sub) UPDATE(bits, T, fetch_or) UPDATE(bits, T, fetch_and)     \
  int __tsan_atomic##bits##_compare_exchange_strong(T* a, T* old, T v, int, int) {                               \
    return CHECKED(T, __atomic_compare_exchange_n(a, old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));        \
  }                                                                                                              \
  T __tsan_atomic##bits##_compare_exchange_val(T* a, T old, T v, int, int) {                                     \
    CHECKED(T, __atomic_compare_exchange_n(a, &old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));              \
    return old;                                                                                                  \
  }
ATOMICS(32, unsigned)
ATOMICS(64, unsigned long)
}
