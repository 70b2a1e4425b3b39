// What the compiler calls, with -fsanitize=thread, at each access to memory and at each atomic
// operation: our own, instead of ThreadSanitizer's library.

#include "memory.hpp"
#include "world.hpp"

#include <cstring>
#include <dlfcn.h>
#include <string_view>
#include <unordered_map>

using namespace explore;

namespace {

enum Order { relaxed, consume, acquire_order, release_order, acq_rel, seq_cst };

// A std::shared_ptr counts its owners itself, and rightly. Who is first to count down matters only
// to whoever comes to the end.
bool is_reference_count(void* where) {
  static std::unordered_map<void*, bool> known;
  const auto [it, is_new] = known.try_emplace(where, false);
  Dl_info info{};
  if (is_new && ::dladdr(where, &info) != 0 && info.dli_sname != nullptr) {
    const std::string_view name = info.dli_sname;
    for (const std::string_view type : {"_Sp_counted", "__shared_count", "__shared_weak_count"})
      it->second = it->second || name.find(type) != name.npos;
  }
  return it->second;
}

// One atomic operation, when it is its turn.
template <typename T, typename Operation>
T atomic(const char* what, const volatile T* at, Step::Effect effect, int order, void* where,
         Operation operation) {
  if (!world.in_program) return operation();
  const Outside outside;
  const void* const object = const_cast<const T*>(at);
  Thread& self = *world.current;
  const Step step{what, object, nullptr, is_reference_count(where) ? Step::counts : effect};
  if (effect == Step::reads && world.look(object)) {
    world.also(step);
  } else {
    world.step(step);
  }
  access_atomic(object, sizeof(T), effect != Step::reads);
  if (self.fenced) order = seq_cst;
  if (order != relaxed && order != release_order) acquire(self, object);
  const T result = operation();
  if (order >= release_order && effect != Step::reads) release(self, object);
  return result;
}

template <typename T, typename Change>
T update(const char* what, volatile T* at, int order, void* where, Change change) {
  return atomic(what, at, Step::changes, order, where, [&] {
    const T before = *at;
    *at = static_cast<T>(change(before));
    return before;
  });
}

template <typename T>
int compare_exchange(volatile T* at, T* expected, T desired, int order, void* where) {
  bool same = false;
  const T before = atomic("compare", at, Step::changes, order, where, [&] {
    const T found = *at;
    same = found == *expected;
    if (same) *at = desired;
    return found;
  });
  if (!same) *expected = before;
  return same ? 1 : 0;
}

}  // namespace

// The names end in the number of bits, or bytes: no template can make them.
// NOLINTBEGIN
#define WHERE __builtin_return_address(0)
#define ATOMIC(BITS, T)                                                                          \
  T __tsan_atomic##BITS##_load(const volatile T* at, int order) {                                \
    return atomic("load", at, Step::reads, order, WHERE, [&] { return *at; });                   \
  }                                                                                              \
  void __tsan_atomic##BITS##_store(volatile T* at, T value, int order) {                         \
    update("store", at, order, WHERE, [&](T) { return value; });                                 \
  }                                                                                              \
  T __tsan_atomic##BITS##_exchange(volatile T* at, T value, int order) {                         \
    return update("exchange", at, order, WHERE, [&](T) { return value; });                       \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_add(volatile T* at, T value, int order) {                        \
    return update("add", at, order, WHERE, [&](T old) { return old + value; });                  \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_sub(volatile T* at, T value, int order) {                        \
    return update("subtract", at, order, WHERE, [&](T old) { return old - value; });             \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_and(volatile T* at, T value, int order) {                        \
    return update("and", at, order, WHERE, [&](T old) { return old & value; });                  \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_or(volatile T* at, T value, int order) {                         \
    return update("or", at, order, WHERE, [&](T old) { return old | value; });                   \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_xor(volatile T* at, T value, int order) {                        \
    return update("xor", at, order, WHERE, [&](T old) { return old ^ value; });                  \
  }                                                                                              \
  T __tsan_atomic##BITS##_fetch_nand(volatile T* at, T value, int order) {                       \
    return update("nand", at, order, WHERE, [&](T old) { return ~(old & value); });              \
  }                                                                                              \
  int __tsan_atomic##BITS##_compare_exchange_strong(volatile T* at, T* expected, T desired,      \
                                                    int order, int) {                            \
    return compare_exchange(at, expected, desired, order, WHERE);                                \
  }                                                                                              \
  int __tsan_atomic##BITS##_compare_exchange_weak(volatile T* at, T* expected, T desired,        \
                                                  int order, int) {                              \
    return compare_exchange(at, expected, desired, order, WHERE);                                \
  }                                                                                              \
  T __tsan_atomic##BITS##_compare_exchange_val(volatile T* at, T expected, T desired, int order, \
                                               int) {                                            \
    compare_exchange(at, &expected, desired, order, WHERE);                                      \
    return expected;                                                                             \
  }
#define ACCESS(NAME, BYTES, WRITES)                  \
  void __tsan_##NAME(void* at) {                     \
    if (world.in_program) access(at, BYTES, WRITES); \
  }
#define ACCESSES(BYTES)                       \
  ACCESS(read##BYTES, BYTES, false)           \
  ACCESS(write##BYTES, BYTES, true)           \
  ACCESS(unaligned_read##BYTES, BYTES, false) \
  ACCESS(unaligned_write##BYTES, BYTES, true) \
  ACCESS(volatile_read##BYTES, BYTES, false)  \
  ACCESS(volatile_write##BYTES, BYTES, true)

extern "C" {
ATOMIC(8, std::uint8_t)
ATOMIC(16, std::uint16_t)
ATOMIC(32, std::uint32_t)
ATOMIC(64, std::uint64_t)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
// NOLINTEND

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void __tsan_atomic_thread_fence(int) { world.current->fenced = true; }
void __tsan_atomic_signal_fence(int) {}

void __tsan_read_range(void* at, std::size_t size) {
  if (world.in_program) access(at, size, false);
}
void __tsan_write_range(void* at, std::size_t size) {
  if (world.in_program) access(at, size, true);
}
void __tsan_vptr_read(void** at) {
  if (world.in_program) access(at, sizeof *at, false);
}
// Constructors and destructors set it again and again, mostly to what it is.
void __tsan_vptr_update(void** at, void* value) {
  if (world.in_program) access(at, sizeof *at, *at != value);
}
void* __tsan_memcpy(void* to, const void* from, std::size_t size) {
  __tsan_read_range(const_cast<void*>(from), size);
  __tsan_write_range(to, size);
  return std::memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, std::size_t size) {
  __tsan_read_range(const_cast<void*>(from), size);
  __tsan_write_range(to, size);
  return std::memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, std::size_t size) {
  __tsan_write_range(to, size);
  return std::memset(to, value, size);
}
}
