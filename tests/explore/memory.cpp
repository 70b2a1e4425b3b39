#include "memory.hpp"

#include "real.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include <sys/mman.h>

extern "C" {
void* __libc_malloc(std::size_t);
void __libc_free(void*);
void* __libc_realloc(void*, std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace explore {
namespace {

constexpr std::size_t heap_size = std::size_t{8} << 20;
constexpr std::size_t world_size = heap_size + max_threads * Fiber::stack_size;

// What is known of one byte.
struct Cell {
  std::uint32_t run = 0;  // of an earlier run: nothing
  std::uint16_t written = 0;
  std::uint8_t writer = 0;
  bool freed = false;
  VectorClock read{};
  VectorClock atomic{};  // accesses
};

template <typename T>
T* reserve(std::size_t count) {
  void* const memory = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("explore: cannot reserve memory");
    std::exit(2);
  }
  return static_cast<T*>(memory);
}

char* const heap = reserve<char>(world_size);
Cell* const cells = reserve<Cell>(world_size);
std::size_t heap_used = 0;

struct Globals {
  char* begin = nullptr;
  std::vector<char> at_first;
  Cell* cells = nullptr;
};
std::vector<Globals> all_globals;

std::uint32_t run = 0;
Race race;
std::array<std::vector<void*>, max_threads> access_to_race;  // the last of each thread

struct Released {
  const void* object = nullptr;
  VectorClock clock{};
};
std::array<Released, 1024> released_table;  // by open addressing
std::vector<Released*> used;

Cell* cell_of(const void* at) {
  const char* const byte = static_cast<const char*>(at);
  if (byte >= heap && byte < heap + world_size) return cells + (byte - heap);
  for (const Globals& globals : all_globals) {
    if (byte >= globals.begin && byte < globals.begin + globals.at_first.size())
      return globals.cells + (byte - globals.begin);
  }
  return nullptr;
}

Released& released(const void* object) {
  std::size_t at = reinterpret_cast<std::size_t>(object) / 4 * 2654435761U % released_table.size();
  while (released_table[at].object != object) {
    if (released_table[at].object == nullptr) {
      if (used.size() > released_table.size() / 2)
        world.fail("too large", "explore has no room for so many mutexes and atomics.");
      released_table[at] = {object, {}};
      used.push_back(&released_table[at]);
      break;
    }
    at = (at + 1) % released_table.size();
  }
  return released_table[at];
}

void hear_of(VectorClock& clock, const VectorClock& other) {
  for (std::size_t i = 0; i < max_threads; ++i) clock[i] = std::max(clock[i], other[i]);
}

[[noreturn]] void report(const void* at, std::size_t first, bool first_writes, bool second_writes) {
  race = {at, access_to_race[first], callers()};
  const auto does = [](bool writes) { return writes ? " writes" : " reads"; };
  world.fail("data race", world.threads[first].name + does(first_writes) + " what " +
                              world.current->name + does(second_writes) +
                              ", and nothing orders them:");
}

void check(Cell& cell, const void* at, bool writes) {
  const Thread& self = *world.current;
  const auto not_heard_of = [&](std::size_t thread, std::uint16_t time) {
    return thread != self.id && time > self.clock[thread];
  };
  if (cell.run != run) cell = {.run = run};
  if (cell.freed)
    world.fail("freed memory",
               self.name + (writes ? " writes to" : " reads") + " memory that has been freed.");
  if (!world.find_races) return;
  if (not_heard_of(cell.writer, cell.written)) report(at, cell.writer, true, writes);
  if (!writes) {
    cell.read[self.id] = self.clock[self.id];
    return;
  }
  for (std::size_t i = 0; i < world.count; ++i) {
    if (not_heard_of(i, cell.read[i])) report(at, i, false, true);
  }
  for (std::size_t i = 0; i < world.count; ++i) {
    if (not_heard_of(i, cell.atomic[i])) report(at, i, false, true);
  }
  cell.writer = static_cast<std::uint8_t>(self.id);
  cell.written = self.clock[self.id];
}

}  // namespace

void* stack_of(std::size_t thread) { return heap + heap_size + thread * Fiber::stack_size; }

void reset_memory() {
  ++run;
  heap_used = 0;
  for (Released* one : std::exchange(used, {})) one->object = nullptr;
  for (const Globals& globals : all_globals) std::ranges::copy(globals.at_first, globals.begin);
}

void watch_globals(void* begin, std::size_t size) {
  char* const first = static_cast<char*>(begin);
  all_globals.push_back({first, {first, first + size}, reserve<Cell>(size)});
}

void acquire(Thread& thread, const void* object) { hear_of(thread.clock, released(object).clock); }

void hear_of_releases(Thread& thread, const void* object, bool now) {
  hear_of(now ? thread.clock : thread.not_acquired, released(object).clock);
}
void acquire_at_fence(Thread& thread) { hear_of(thread.clock, thread.not_acquired); }
void forget_releases(const void* object) { released(object).clock = {}; }

void release(Thread& thread, const void* object) {
  hear_of(released(object).clock, thread.clock);
  ++thread.clock[thread.id];
}

void begin_clock(Thread& thread, Thread* starter) {
  thread.clock = {};
  if (starter != nullptr) {
    thread.clock = starter->clock;
    ++starter->clock[starter->id];
  }
  thread.clock[thread.id] = 1;
}

void join_clock(Thread& thread, const Thread& ended) { hear_of(thread.clock, ended.clock); }

// When a race is to be told, its place is known from the run before.
void remember(const void* at, std::size_t size) {
  if (world.telling && race.at >= at && race.at < static_cast<const char*>(at) + size)
    access_to_race[world.current->id] = callers();
}

void access(const void* at, std::size_t size, bool writes) {
  const Outside outside;
  Cell* const cell = cell_of(at);
  if (cell == nullptr) return;
  const char* const own = static_cast<char*>(stack_of(world.current->id));
  if (writes && (at < own || at >= own + Fiber::stack_size)) ++world.changes;
  for (std::size_t i = 0; i < size; ++i) check(cell[i], static_cast<const char*>(at) + i, writes);
  remember(at, size);
}

void access_atomic(const void* at, std::size_t size, bool writes) {
  Cell* const cell = cell_of(at);
  if (cell == nullptr) return;
  for (std::size_t i = 0; i < size; ++i) {
    Cell copy = cell[i];
    copy.atomic = {};  // are no race with each other
    check(copy, static_cast<const char*>(at) + i, writes);
    if (cell[i].run != run) cell[i] = {.run = run};
    cell[i].atomic[world.current->id] = world.current->clock[world.current->id];
  }
  remember(at, size);
}

int references_left(const void* count) noexcept { return *static_cast<const int*>(count); }

const Race& last_race() { return race; }

namespace {

bool is_ours(const void* memory) { return memory >= heap && memory < heap + heap_size; }

// The size goes in front.
void* allocate(std::size_t size, std::size_t alignment) {
  const Outside outside;
  std::size_t at = (heap_used + sizeof(std::size_t) + alignment - 1) / alignment * alignment;
  if (at + size > heap_size) world.fail("out of memory", "explore has 8 MiB for a run.");
  heap_used = at + size;
  std::memcpy(heap + at - sizeof size, &size, sizeof size);
  return heap + at;
}

std::size_t size_of(const void* memory) {
  std::size_t size = 0;
  std::memcpy(&size, static_cast<const char*>(memory) - sizeof size, sizeof size);
  return size;
}

void forget(void* memory) {
  if (!world.in_program) return;
  const std::size_t size = size_of(memory);
  access(memory, size, true);
  Cell* const cell = cell_of(memory);
  for (std::size_t i = 0; i < size; ++i) cell[i].freed = true;
}

}  // namespace
}  // namespace explore

// The C library's own heap stays behind these, for what is not the program's.
extern "C" {

void* malloc(std::size_t size) {
  if (!explore::world.in_program) return __libc_malloc(size);
  if (const int error = explore::world.meets("malloc")) {
    errno = error;
    return nullptr;
  }
  return explore::allocate(size, 16);
}

void free(void* memory) {
  if (!explore::is_ours(memory)) return __libc_free(memory);
  explore::forget(memory);
}

void* calloc(std::size_t count, std::size_t size) {
  if (!explore::world.in_program) return __libc_calloc(count, size);
  return std::memset(explore::allocate(count * size, 16), 0, count * size);
}

void* realloc(void* memory, std::size_t size) {
  const bool libc = memory == nullptr ? !explore::world.in_program : !explore::is_ours(memory);
  if (libc) return __libc_realloc(memory, size);
  void* const moved = malloc(size);
  if (memory != nullptr && moved != nullptr) {
    std::memcpy(moved, memory, std::min(size, explore::size_of(memory)));
    free(memory);
  }
  return moved;
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return explore::world.in_program ? explore::allocate(size, alignment)
                                   : __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  *memory = aligned_alloc(alignment, size);
  return 0;
}
}
