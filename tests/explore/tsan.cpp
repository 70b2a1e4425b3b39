// What the compiler calls, with -fsanitize=thread, at each access to memory and at each atomic
// operation: our own, instead of ThreadSanitizer's library.

#include "memory.hpp"
#include "world.hpp"

#include <cstring>
#include <dlfcn.h>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

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

enum class Kind { load, store, update };

void wait_for_turn(Kind kind, const Step& step) {
  if (kind == Kind::load && world.look(step.a)) {
    world.also(step);
  } else {
    world.step(step);
  }
}

// One atomic operation, when it is its turn. `change` gets what is there, and returns what is to be
// stored, if anything is. Returns what was there.
template <typename T, typename Change>
T atomic(Kind kind, const char* what, const volatile T* at, int order, void* where, Change change) {
  auto* const place = const_cast<T*>(at);
  const auto operate = [&](T found) {
    const std::optional<T> stored = change(found);
    if (stored) *place = *stored;
    return stored;
  };
  if (!world.in_program) {
    const T found = *at;
    operate(found);
    return found;
  }
  const Outside outside;
  Thread& self = *world.current;
  // use_count() tells. The 8 bytes at once, of newer libraries, only look for the end.
  const bool counts = (kind != Kind::load || sizeof(T) == 8) && is_reference_count(where);
  const Step::Effect effect = kind == Kind::load ? Step::reads : Step::changes;
  wait_for_turn(kind, {what, place, nullptr, counts ? Step::counts : effect});
  access_atomic(place, sizeof(T), kind != Kind::load);
  if (self.fenced) order = seq_cst;
  // Where two may change places, their order must not hide a race either.
  const bool far_from_end = counts && references_left(place) > 2;
  if (!far_from_end) hear_of_releases(self, place, order != relaxed && order != release_order);
  const T found = *at;
  const std::optional<T> stored = operate(found);
  if (kind != Kind::load && stored.value_or(found) == found) world.changed_nothing(place);
  if (!stored) return found;
  if (kind == Kind::store) forget_releases(place);
  if (order >= release_order) release(self, place);
  return found;
}

template <typename T, typename Change>
T update(const char* what, volatile T* at, int order, void* where, Change change) {
  return atomic(Kind::update, what, at, order, where,
                [&](T found) { return std::optional<T>(static_cast<T>(change(found))); });
}

template <typename T>
int compare_exchange(volatile T* at, T* expected, T desired, int order, void* where) {
  const T found = atomic(Kind::update, "compare", at, order, where, [&](T present) {
    return present == *expected ? std::optional<T>(desired) : std::nullopt;
  });
  return std::exchange(*expected, found) == found ? 1 : 0;
}

}  // namespace

// The names end in the number of bits, or bytes: no template can make them.
// NOLINTBEGIN
#define WHERE __builtin_return_address(0)
#define ATOMIC(BITS, T)                                                                          \
  T __tsan_atomic##BITS##_load(const volatile T* at, int order) {                                \
    return atomic(Kind::load, "load", at, order, WHERE, [](T) { return std::optional<T>(); });   \
  }                                                                                              \
  void __tsan_atomic##BITS##_store(volatile T* at, T value, int order) {                         \
    atomic(Kind::store, "store", at, order, WHERE, [&](T) { return std::optional<T>(value); });  \
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

void __tsan_atomic_thread_fence(int) {
  world.current->fenced = true;
  acquire_at_fence(*world.current);
}
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
