#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <compare>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Every failure once: at each call that a server makes, each error that the call's manual lists;
// and what must hold whatever fails. SQLite is tested so (https://sqlite.org/testing.html).
namespace failures {

// What fails. "busy:main:accept4:3:ENOMEM" is the third accept4() of the main thread, while the
// clients of the script "busy" come; 3x6 is the third and the five after it.
struct Point {
  std::string script;
  std::string thread;  // in the simulated kernel: "main", "worker-0"; in the real one: "real"
  std::string call;
  int number = 0;  // from 1; in the real kernel, over all threads
  int error = 0;
  int times = 1;

  auto operator<=>(const Point&) const = default;
};
std::string to_text(const Point& point);
constexpr int lasting = 6;  // times: a shortage that a second try does not end
// Throws Usage.
Point parse_point(const std::string& text);

// What must hold. Stage 4 keeps all of it; stages 1 to 3 break what they break on purpose.
enum Invariant {
  never_panics,
  ends_by_itself,
  answers,
  goes_on,
  closes_first,
  keeps_grace,
  leaks_nothing,
  tells_truth
};
constexpr std::array<std::string_view, 8> invariants{
    "it ended by std::terminate",
    "it was ended by a signal, or never ended",
    "an accepted client was reset, or not answered",
    "it did not go on, though it could",
    "the listening socket was open during the drain",
    "the grace period was not kept",
    "a descriptor leaked",
    "the exit status was wrong",
};

// How each server is started, in both kernels.
constexpr int workers = 2;
constexpr std::chrono::milliseconds sleep_time{300};
constexpr std::chrono::milliseconds grace{3000};

// What came of one point.
struct Verdict {
  std::array<std::string, invariants.size()> broken;  // how; empty for what held
  bool met = false;                                   // or the server never came to this call
  bool lost_own = false;  // the client that was being served when it failed
  std::string not_tried;  // why
  int runs = 0;

  bool is_broken() const {
    return std::ranges::any_of(broken, [](const std::string& how) { return !how.empty(); });
  }
};

struct Result {
  Point point;
  Verdict verdict;
};

// A call that the stages make, and every error that its manual lists: the Linux man-pages, and
// POSIX where it lists more.
struct Call {
  std::string_view name;
  std::string_view systems;  // the system calls that it makes
  int usual;                 // the one that is tried in the real kernel, and first in a hurry
  std::vector<int> errors;
};
std::span<const Call> manual();
const Call* find_call(std::string_view name);

// Failures that are nobody's fault, and are over soon: once it serves, a server can wait them out.
// For accept4(), these are all that do not say that the listener itself is broken.
bool passes(const Point& point);
// Calls that a server which serves can do without: it may lose a client's connection, or a line of
// the log, and not end.
bool is_optional(std::string_view call);
// What may cost the client that a worker serves: memory, and its own connection.
bool may_cost_own(std::string_view call);

// A system call that nothing here makes fail, and why not.
struct Spared {
  std::string_view name;
  std::string_view why;
};
std::span<const Spared> spared();

}  // namespace failures
