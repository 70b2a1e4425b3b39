#include "faults.hpp"

#include "real.hpp"
#include "world.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <ucontext.h>

#include <sys/time.h>
#include <unistd.h>

namespace explore {
namespace {

[[noreturn]] void terminated() {
  if (!world.in_program) real<void()>("abort")();
  const Outside outside;
  std::string sentence = world.current->name + " calls std::terminate()";
  if (!std::current_exception())
    sentence += ": most likely a std::thread is destroyed that nobody has joined";
  if (const std::exception_ptr error = std::current_exception()) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      sentence += std::string(": nobody has caught what it throws, ") + known.what();
    } catch (...) {
      sentence += ": nobody has caught what it throws";
    }
  }
  world.fail("terminate", sentence + '.');
}

// In the program's own frames, or in ours with a pointer of the program's: so what it was at can be
// left where it is.
void crashed(int signal) {
  if (world.current == nullptr) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  const Outside outside;
  world.fail("crash", world.current->name +
                          (signal == SIGFPE ? " is ended by SIGFPE." : " is ended by SIGSEGV."));
}

std::function<void()> clean_up;
volatile std::sig_atomic_t runs = 0;

// "ThreadPool::work()"
std::string readable(const char* symbol) {
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(symbol, nullptr, nullptr, nullptr), std::free);
  return name ? name.get() : std::string(symbol) + "()";
}

// Once a second.
void look(int, siginfo_t*, void* context) {
  static std::sig_atomic_t last = 0;
  static int seconds = 0;
  seconds = runs == last ? seconds + 1 : 0;
  last = runs;
  if (seconds < 3 || world.current == nullptr) return;
  Dl_info info{};
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
#ifdef __x86_64__
  const auto at = registers.gregs[REG_RIP];
#else
  const auto at = registers.pc;
#endif
  const bool known = ::dladdr(reinterpret_cast<void*>(at), &info) != 0 && info.dli_sname != nullptr;
  // Whatever the program was at, it does not go on: so this need not be safe in a handler.
  std::fprintf(stderr,
               "explore: %s does not come to its next step: it has been in %s for 3 seconds.\n"
               "Either it never ends, or explore does not simulate what it waits for.\n",
               world.current->name.c_str(),
               known ? readable(info.dli_sname).c_str() : "code of its own");
  if (clean_up) clean_up();
  ::_exit(2);
}

}  // namespace

void at_end_of_watch(std::function<void()> action) { clean_up = std::move(action); }
void begin_watch() { runs = runs + 1; }

void watch_for_faults() {
  std::set_terminate(terminated);
  static std::array<char, 64 * 1024> memory;  // a stack that has overflowed is of no use
  const stack_t stack{memory.data(), 0, memory.size()};
  struct sigaction crash{};
  crash.sa_handler = crashed;
  crash.sa_flags = SA_ONSTACK | SA_NODEFER;
  struct sigaction second{};
  second.sa_sigaction = look;
  second.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  const itimerval each_second{{1, 0}, {1, 0}};
  bool ok = ::sigaltstack(&stack, nullptr) == 0 && ::sigaction(SIGALRM, &second, nullptr) == 0 &&
            ::setitimer(ITIMER_REAL, &each_second, nullptr) == 0;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE})
    ok = ok && ::sigaction(signal, &crash, nullptr) == 0;
  if (!ok) {
    std::perror("explore: cannot watch for faults");
    std::exit(2);
  }
}

}  // namespace explore
