#pragma once

#include "fiber.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

// One run of a program: its threads, of which one runs at a time, and what each is about to do. A
// thread runs up to its next step, which is whatever another thread could notice: a call of
// pthread_mutex_lock(), an atomic operation, a read from a connection. There it says what the step
// touches, and a Decider says who goes on. What lies between two steps counts as done at once.
namespace explore {

constexpr std::size_t max_threads = 16;

struct Step {
  const char* what = "";    // in a word, for the story: "lock"
  const void* a = nullptr;  // the objects it touches
  const void* b = nullptr;
  enum Effect { changes, locks, reads, counts } effect = changes;
};

// Can the two steps of different threads not change places, because one could tell?
bool depend(const Step& one, const Step& other) noexcept;

using Time = std::int64_t;  // nanoseconds, virtual
constexpr Time never = INT64_MAX;

// Refers to a lambda for as long as that lives: std::function_ref, which is C++26.
class Condition {
 public:
  Condition() = default;
  template <typename F>
  Condition(const F& f)
      : object_(&f), call_([](const void* o) { return (*static_cast<const F*>(o))(); }) {}
  bool operator()() const { return call_ == nullptr || call_(object_); }

 private:
  const void* object_ = nullptr;
  bool (*call_)(const void*) = nullptr;
};

using VectorClock = std::array<std::uint16_t, max_threads>;

struct Thread {
  Fiber fiber;
  std::size_t id = 0;
  std::string name;
  enum State { unused, fresh, running, done, joined } state = unused;
  bool detached = false;
  enum Kind {
    worker,     // of a pool
    companion,  // another one of the program
    outside,    // of the program: a client, the network, a signal
  } kind = worker;
  std::function<void()> body;
  Thread* starter = nullptr;

  Step next;
  Condition ready;
  Time until = never;              // goes on at this time, even if it is not ready
  std::vector<void*> frames;       // where that is, if the story is to be told
  const void* waits_on = nullptr;  // a condition variable, or a futex
  bool notified = false;

  // What it has looked at, after which change, and how often: if nothing changes, it goes in
  // circles.
  struct Look {
    const void* object;
    std::uint64_t changes;
    int times;
  };
  std::vector<Look> looks;
  std::uint64_t in_circles_since = UINT64_MAX;

  VectorClock clock{};
  bool fenced = false;
  std::array<char, 16> exceptions{};  // what __cxa_get_globals() has for it
  void* tls = nullptr;                // its thread_locals of the module
  std::vector<const void*> specific;  // pthread_getspecific()
  std::vector<std::pair<void (*)(void*), void*>> at_exit;
  std::uint64_t blocked = 0;   // signals
  void* result = nullptr;      // for pthread_join()
  VectorClock not_acquired{};  // what its relaxed loads have seen, for a fence after them
  int signal = 0;              // is about to run its handler
};

// Who goes on, and which of several things happens.
class Decider {
 public:
  virtual ~Decider() = default;
  // Which of the threads `options`; the first is the one that goes on if nothing is decided. Null:
  // it ends here, since it leads nowhere new.
  virtual Thread* next(std::span<Thread* const> options, bool first_is_running) = 0;
  // Which of `count` things happens; 0 is the usual one.
  virtual int which(int count) = 0;
  // `step` is done now, or is about to be, with nothing in between.
  virtual void passed(const Thread& thread, const Step& step) = 0;
};

// How a run ended, if it was not well: "hang", and a sentence.
struct Failure {
  std::string kind;
  std::string sentence;
  explicit operator bool() const { return !kind.empty(); }
};

struct Event {
  Thread* thread;
  Step step;
  int decision;  // its number
  std::vector<void*> frames;
};

// What the program may meet with, so many times a run.
struct Luck {
  int spurious_wakeups = 0;
  int threads_not_started = 0;
  int busy_locks = 1;  // that are only tried
};

struct World {
  std::array<Thread, max_threads> threads;
  std::size_t count = 0;  // of them
  Thread* current = nullptr;
  Thread* last = nullptr;   // whose step has failed
  bool in_program = false;  // or else in what is ours
  Decider* decider = nullptr;

  Failure failure;
  bool cut = false;  // by the decider
  int exit_status = 0;
  int steps = 0;
  std::uint64_t changes = 0;
  Time now = 0;
  Time now_before = 0;  // the last step, whose time may have run out
  Luck luck;
  bool closing = false;  // workers may leave from now on
  bool stays = false;    // the pool of this run is not destroyed
  const char* next_name = nullptr;

  // How runs are made.
  int step_limit = 10000;
  bool any_time = true;  // waits with a deadline may end at any time; or else when nobody can go on
  bool telling = false;  // keeps each event with its frames
  bool find_races = true;
  bool endless = false;  // no pool is ever destroyed, so its workers never leave
  std::vector<Event> events;
  std::function<void()> at_each_step;      // for a replay under a debugger
  std::function<void(int)> handle_signal;  // runs the program's handler
  // Before each call of the program that may fail: the error that it is to fail with, or 0.
  std::function<int(const char* call, int fd)> at_call;
  std::function<std::string(std::size_t)> name_of = [](std::size_t id) {
    return "worker " + std::to_string(id - 1);
  };

  void run(Decider& decides, const std::function<void()>& main_body);

  // For what the program calls. Waits until it is this thread's turn to do `step`, and `ready`. If
  // a signal may interrupt it and does, false, and it is not done.
  bool step(Step step, Condition ready = {}, Time until = never, bool interruptible = false);
  // Done together with the step before.
  void also(Step step);
  // What the step just done turned out to be.
  void was(const char* what) {
    if (telling) events.back().step.what = what;
  }
  // Asks at_call.
  int meets(const char* call, int fd = -1);
  int which(int count) { return count < 2 ? 0 : decider->which(count); }
  Thread& start(std::string name, std::function<void()> body, Thread::Kind kind);
  void wake(const void* object, bool all);
  [[noreturn]] void fail(std::string kind, std::string sentence);
  [[noreturn]] void end();
  [[noreturn]] void cut_off();  // by the decider
  // The thread looks at `object`, which others may change. True if it has just done
  // so several times and nothing has changed, so that nobody need be asked who goes on: it spins.
  // If it spins for long, it goes in circles, and goes on only if something changes, or nobody else
  // can.
  bool look(const void* object);
  // Its step has left `object` as it was: so it has only looked, as a lock does that spins.
  void changed_nothing(const void* object) {
    --changes;
    look(object);
  }

 private:
  bool can_go_on(const Thread& thread) const;
  Thread* pick();
  void go_on();
  void note(const Step& step);
  void come_to_first_step(Thread& self);
  static void begin_thread();

  Fiber engine_;
};

extern World world;

// Where the running thread is: its return addresses, from the innermost.
std::vector<void*> callers();

// While it lives, what the thread does is ours, and not the program's.
class Outside {
 public:
  Outside() : was_(std::exchange(world.in_program, false)) {}
  ~Outside() { world.in_program = was_; }
  Outside(const Outside&) = delete;

 private:
  bool was_;
};

}  // namespace explore
