#include "world.hpp"

#include "memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <execinfo.h>
#include <new>

namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals*
__cxa_get_globals() noexcept;  // libc++abi has it, but not in the header
}  // namespace __cxxabiv1

namespace explore {

World world;

namespace {

// The exceptions that a thread handles are its own, and the library keeps one list for us all.
void swap_exceptions(Thread& from, const Thread& to) {
  std::memcpy(from.exceptions.data(), abi::__cxa_get_globals(), from.exceptions.size());
  std::memcpy(abi::__cxa_get_globals(), to.exceptions.data(), to.exceptions.size());
}

}  // namespace

std::vector<void*> callers() {
  std::vector<void*> frames(40);
  frames.resize(
      static_cast<std::size_t>(::backtrace(frames.data(), static_cast<int>(frames.size()))));
  return frames;
}

bool depend(const Step& one, const Step& other) noexcept {
  const auto touches = [&](const void* object) {
    return object != nullptr && (one.a == object || one.b == object);
  };
  if (!touches(other.a) && !touches(other.b)) return false;
  if (one.effect == Step::reads && other.effect == Step::reads) return false;
  // Who counts down a shared_ptr first can only be told by whoever comes to the end.
  if (one.effect == Step::counts && other.effect == Step::counts)
    return references_left(one.a) <= 2;
  return true;
}

bool World::can_go_on(const Thread& thread) const {
  if (thread.state != Thread::running) return false;
  if (thread.signal != 0 || thread.ready()) return true;
  return any_time ? thread.until != never : thread.until <= now;
}

// Who goes on: the one that is running, if it can; then the others of the program, in turn; then
// what comes from outside. Null if nobody can, or the decider will not go on.
Thread* World::pick() {
  std::array<Thread*, max_threads> options;
  while (true) {
    std::size_t size = 0;
    const std::size_t first = current == nullptr ? 0 : current->id;
    for (const bool idle : {false, true}) {  // those in circles only if nobody else can go on
      for (const bool outside : {false, true}) {
        for (std::size_t i = 0; i < count; ++i) {
          Thread& thread = threads[(first + i) % count];
          const bool circles = thread.in_circles_since == changes;
          if ((thread.kind == Thread::outside) == outside && circles == idle && can_go_on(thread))
            options[size++] = &thread;
        }
      }
      if (size > 0) break;
    }
    if (size > 0) {
      Thread* next = decider->next({options.data(), size}, options[0] == current);
      cut = next == nullptr;
      return next;
    }
    Time next = never;
    for (std::size_t i = 0; i < count; ++i) {
      if (threads[i].state == Thread::running) next = std::min(next, threads[i].until);
    }
    if (next == never || any_time) return nullptr;
    now = next;
  }
}

void World::go_on() {
  Thread* const self = current;
  Thread* const next = pick();
  if (next == self) return;
  if (next == nullptr) end();
  swap_exceptions(*self, *next);
  current = next;
  Fiber::switch_between(self->fiber, next->fiber);
}

void World::note(const Step& step) {
  if (step.effect == Step::changes || step.effect == Step::counts) ++changes;
  decider->passed(*current, step);
  if (!telling) return;
  events.push_back({current, step, steps, callers()});
}

// A thread that has been started goes as far as it can without being noticed.
void World::come_to_first_step(Thread& self) {
  current = self.starter;
  swap_exceptions(self, *current);
  Fiber::switch_between(self.fiber, current->fiber);
}

bool World::step(Step step, Condition ready, Time until, bool interruptible) {
  Thread& self = *current;
  while (true) {
    self.next = step;
    self.ready = ready;
    self.until = until;
    if (telling) self.frames = callers();
    if (std::exchange(self.state, Thread::running) == Thread::fresh) {
      come_to_first_step(self);
    } else {
      go_on();
    }
    now_before = now;
    if (self.signal == 0 && self.until != never && !self.ready())
      now = std::max(now, self.until);  // its time has run out
    self.until = never;
    if (++steps > step_limit) {
      fail("never ends", "After " + std::to_string(step_limit) + " steps it still went on.");
    }
    if (at_each_step) at_each_step();
    if (self.signal == 0) break;
    handle_signal(std::exchange(self.signal, 0));
    if (interruptible) return false;
  }
  note(step);
  return true;
}

int World::meets(const char* call, int fd) {
  const Outside outside;
  if (!at_call || current->kind == Thread::outside) return 0;
  const int error = at_call(call, fd);
  if (error != 0) also({::strerrorname_np(error), nullptr, nullptr, Step::locks});
  return error;
}

void World::also(Step step) { note(step); }

Thread& World::start(std::string name, std::function<void()> body, Thread::Kind kind) {
  if (count == max_threads)
    fail("too many threads", "explore has room for 15 threads besides the main thread.");
  Thread& thread = threads[count];
  thread.id = count++;
  thread.name = std::move(name);
  thread.body = std::move(body);
  thread.kind = kind;
  thread.state = Thread::fresh;
  thread.starter = current;
  thread.detached = false;
  thread.next = {};
  thread.ready = {};
  thread.until = never;
  thread.waits_on = nullptr;
  thread.notified = false;
  thread.looks.clear();
  thread.in_circles_since = UINT64_MAX;
  thread.clock = {};
  thread.fenced = false;
  thread.not_acquired = {};
  thread.exceptions = {};
  thread.tls = nullptr;
  thread.specific.clear();
  thread.at_exit.clear();
  thread.blocked = current == nullptr ? 0 : current->blocked;
  thread.signal = 0;
  thread.fiber.own_stack(stack_of(thread.id));
  thread.fiber.prepare(begin_thread, thread.name.c_str());
  begin_clock(thread, current);
  if (current == nullptr) return thread;
  Thread& self = *current;
  swap_exceptions(self, thread);
  current = &thread;
  Fiber::switch_between(self.fiber, thread.fiber);
  return thread;
}

void World::begin_thread() {
  Thread& self = *world.current;
  world.in_program = true;
  self.body();
  while (!self.at_exit.empty()) {  // destroys its thread_locals
    const auto [destroy, object] = self.at_exit.back();
    self.at_exit.pop_back();
    destroy(object);
  }
  world.in_program = false;
  const bool was_fresh = self.state == Thread::fresh;
  self.state = Thread::done;
  world.note({"end", &self});
  if (self.id == 0) world.end();
  if (self.kind == Thread::worker && !world.closing)
    world.fail("left early", self.name + " has left, although the pool has not ended.");
  if (was_fresh) world.come_to_first_step(self);
  world.go_on();
}

void World::fail(std::string kind, std::string sentence) {
  failure = {std::move(kind), std::move(sentence)};
  last = current;
  end();
}

void World::cut_off() {
  cut = true;
  end();
}

void World::end() {
  in_program = false;
  Fiber::switch_between(current->fiber, engine_);
  std::abort();  // nobody comes back here
}

void World::wake(const void* object, bool all) {
  std::array<Thread*, max_threads> waiting;
  int size = 0;
  for (Thread& thread : std::span(threads).first(count)) {
    if (thread.waits_on == object && !thread.notified)
      waiting[static_cast<std::size_t>(size++)] = &thread;
  }
  if (size == 0) return;
  if (!all) waiting[0] = waiting[static_cast<std::size_t>(which(size))];
  for (Thread* thread : std::span(waiting).first(all ? static_cast<std::size_t>(size) : 1))
    thread->notified = true;
}

bool World::look(const void* object) {
  constexpr int many = 3;
  constexpr int too_many = 100;  // more than a std::atomic looks before it sleeps
  Thread& self = *current;
  auto known = std::ranges::find(self.looks, object, &Thread::Look::object);
  if (known == self.looks.end()) known = self.looks.insert(known, {object, changes, 0});
  if (known->changes != changes) *known = {object, changes, 0};
  if (++known->times > too_many) self.in_circles_since = changes;
  return known->times > many && known->times <= too_many;
}

void World::run(Decider& decides, const std::function<void()>& main_body) {
  decider = &decides;
  failure = {};
  stays = endless;
  cut = closing = false;
  exit_status = steps = 0;
  changes = 0;
  now = 0;
  count = 0;
  current = last = nullptr;
  next_name = nullptr;
  events.clear();
  reset_memory();
  Thread& main = start("main", main_body, Thread::companion);
  main.state = Thread::running;
  current = &main;
  std::memset(abi::__cxa_get_globals(), 0, main.exceptions.size());
  Fiber::switch_between(engine_, main.fiber);
  std::memset(abi::__cxa_get_globals(), 0, main.exceptions.size());
  current = nullptr;
}

}  // namespace explore
