#pragma once

#include "world.hpp"

#include <cstddef>

// What the program's threads share: its heap, its stacks, the globals of its module. Nothing is
// given back during a run, so what is used after it was freed is seen; and each run begins with all
// of it as it was, at the same addresses.
//
// Who has read and written each byte is kept, and in which order threads have heard of each other
// (vector clocks, as ThreadSanitizer does it): so a data race is found in any order of the threads,
// and not only when it strikes.
namespace explore {

void* stack_of(std::size_t thread);
void reset_memory();

// The globals of the module. Their present values are those a run begins with.
void watch_globals(void* begin, std::size_t size);

// Whoever acquires `object` has heard of all that happened before it was released.
void acquire(Thread& thread, const void* object);
void release(Thread& thread, const void* object);
// For an atomic operation, which acquires `object` now, or only once a fence comes.
void hear_of_releases(Thread& thread, const void* object, bool now);
void acquire_at_fence(Thread& thread);
// A store by another thread ends a release sequence ([intro.races]).
void forget_releases(const void* object);
void begin_clock(Thread& thread, Thread* starter);
void join_clock(Thread& thread, const Thread& ended);

// Ends the run if `size` bytes at `at` are freed memory, or another thread's access is a race.
void access(const void* at, std::size_t size, bool writes);
// As access(), for an atomic operation: those are no race with each other.
void access_atomic(const void* at, std::size_t size, bool writes);

// Of a std::shared_ptr's reference count.
int references_left(const void* count) noexcept;

// The last race: the two accesses, for the story.
struct Race {
  const void* at = nullptr;
  std::vector<void*> first;
  std::vector<void*> second;
};
const Race& last_race();

}  // namespace explore
