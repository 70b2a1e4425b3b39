// measure: what each stage costs beside the least a server can do, how that grows with its clients,
// and what the pool costs by itself.

#include "measurement.hpp"
#include "pool_rates.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/client.hpp"
#include "tests/harness/kernel.hpp"
#include "tests/harness/server.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;

namespace {

constexpr std::string_view usage_text =
    R"(Usage: measure [options] [PART...]

Measures on this machine, each figure also as a ratio to limit, the least a
server can do: threads that accept, read, write a ready-made answer, and close.
The parts, all of them if none is named:

  cost     32 concurrent clients, by ab: requests per second, their time, what
           the server spends on one
  growth   1 to 1,024 clients at the same time, half of them asking for /sleep
  pool     jobs per second through execute(), against a loop on one thread

  --rounds N   interleaved rounds, 1 to 99; the median is printed
               (7; growth 3)
  --quick      one short round, to check that it works
  --help       print this and exit

Exit status: 0, also if ab is missing and cost is left out; 2 for a mistake in the
command line, or a server that does not behave.
)";

struct Settings {
  std::vector<std::string> parts;
  int rounds = 0;  // 0: as many as suit the part
  bool quick = false;
  bool help = false;

  bool wants(std::string_view part) const {
    return parts.empty() || std::ranges::count(parts, part) > 0;
  }
  int rounds_or(int usual) const { return rounds > 0 ? rounds : quick ? 1 : usual; }
};

Settings parse(Arguments arguments) {
  Settings settings;
  while (arguments.next()) {
    const std::string& word = arguments.word();
    if (word == "--rounds")
      settings.rounds = arguments.number(1, 99);
    else if (word == "--quick")
      settings.quick = true;
    else if (word == "--help")
      settings.help = true;
    else if (word == "cost" || word == "growth" || word == "pool")
      settings.parts.push_back(word);
    else
      throw Usage("unknown argument '" + word + "'");
  }
  return settings;
}

// In the order of the columns.
constexpr std::size_t program_count = 5;
const std::vector<std::string> columns{"limit", "stage 1", "stage 2", "stage 3", "stage 4"};

Subject subject(std::size_t program, std::chrono::milliseconds sleep) {
  Subject subject = program == 0 ? Subject{.command = {BUILD "/tests/limit", "--port", "0"}}
                                 : stage_subject(static_cast<int>(program));
  subject.sleep = sleep;
  return subject;
}

// A log that goes nowhere costs least: what is measured is the server.
const FileDescriptor& nowhere() {
  static const FileDescriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  return null;
}

Launch quietly() {
  Launch launch;
  launch.out = nowhere().get();
  return launch;
}

// A server listens before it has started its threads; then main sleeps, until somebody comes. It
// may also sleep for a moment while it starts one: so it has to be seen asleep, with no thread
// more, several times in a row.
void wait_until_idle(const Server& server) {
  int threads = 0;
  int seen = 0;
  const bool idle = eventually([&] {
    const int now = thread_count(server.pid());
    const bool same = process_state(server.pid()) == 'S' && now == threads;
    threads = now;
    seen = same ? seen + 1 : 0;
    return seen == 4;
  });
  if (!idle) throw std::runtime_error("a server is busy without a client");
}

// Calls `measure(program)` for all programs, `rounds` times: each round begins with another one,
// and every second one goes backwards, so that none is always the first, or after the same one.
// Gives the rounds' results by program.
template <typename Result, typename Measure>
std::vector<std::vector<Result>> interleave(std::size_t rounds, Measure measure) {
  std::vector<std::vector<Result>> results(rounds, std::vector<Result>(program_count));
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < program_count; ++i) {
      const std::size_t step = round % 2 == 0 ? i : program_count - i;
      const std::size_t program = (round + step) % program_count;
      results[round][program] = measure(program);
    }
  }
  return results;
}

// The rounds' results of one kind, of all programs.
template <typename Results, typename Get>
Series series(const std::string& name, int decimals, const Results& results, Get get) {
  Series all{name, decimals, {}};
  for (const auto& round : results) {
    std::vector<double>& values = all.rounds.emplace_back();
    std::ranges::transform(round, std::back_inserter(values), get);
  }
  return all;
}

// --- cost --------------------------------------------------------------------------------------

struct Cost {
  double requests_per_second = 0;
  double p50 = 0;  // ms
  double p99 = 0;
  double user = 0;  // us a request
  double system = 0;
  double threads = 0;
  double memory = 0;  // MiB
};

// The number that follows `label` in what ab has printed.
double number_after(const std::string& text, const std::string& label) {
  const std::size_t at = text.find(label);
  if (at == std::string::npos) throw std::runtime_error("ab does not say '" + label + "': " + text);
  return std::stod(text.substr(at + label.size()));
}

Cost measure_cost(std::size_t program, int requests) {
  Server server(subject(program, 10ms), {}, quietly());
  wait_until_idle(server);
  Cost cost;
  // -e: the percentiles in microseconds, on stderr.
  Process ab({"ab", "-q", "-c", "32", "-n", std::to_string(requests), "-e", "/dev/stderr",
              "http://127.0.0.1:" + std::to_string(server.port()) + "/"});
  std::optional<Exit> end;
  for (int waits = 0; !end && waits < 3000; ++waits) {
    cost.threads = std::max<double>(cost.threads, thread_count(server.pid()));
    end = ab.wait_for_exit(10ms);
  }
  if (!end || !end->with(0)) throw std::runtime_error("ab failed: " + ab.out() + ab.err());
  if (number_after(ab.out(), "Failed requests:") != 0 ||
      number_after(ab.out(), "Complete requests:") != requests) {
    throw std::runtime_error("not all were answered by " + columns.at(program));
  }
  cost.requests_per_second = number_after(ab.out(), "Requests per second:");
  cost.p50 = number_after(ab.err(), "\n50,");
  cost.p99 = number_after(ab.err(), "\n99,");
  cost.memory = peak_memory(server.pid()) / 1024.0;
  server.send(SIGKILL);
  const Exit used = server.exit_within(10s);
  cost.user = static_cast<double>(used.user.count()) / requests;
  cost.system = static_cast<double>(used.system.count()) / requests;
  return cost;
}

bool has_ab() {
  try {
    return Process({"ab", "-V"}).wait_for_exit(10s).has_value();
  } catch (const std::system_error&) {
    return false;
  }
}

void print_costs(const Settings& settings) {
  std::cout << "What a request costs: 32 concurrent clients, a new connection per request\n";
  if (!has_ab()) {
    std::cout << "  Not measured: ab is not installed (Debian: apache2-utils).\n\n";
    return;
  }
  const auto rounds = static_cast<std::size_t>(settings.rounds_or(7));
  std::size_t done = 0;
  const auto results = interleave<Cost>(rounds, [&](std::size_t program) {
    const Cost cost = measure_cost(program, settings.quick ? 200 : 10000);
    show_progress("measured", ++done, rounds * program_count);
    return cost;
  });
  std::cout << text_table(columns,
                          {
                              series("requests per second", 0, results, &Cost::requests_per_second),
                              series("p50, ms", 2, results, &Cost::p50),
                              series("p99, ms", 2, results, &Cost::p99),
                              series("user, us/request", 1, results, &Cost::user),
                              series("system, us/request", 1, results, &Cost::system),
                              series("total, us/request", 1, results,
                                     [](const Cost& cost) { return cost.user + cost.system; }),
                              series("threads", 0, results, &Cost::threads),
                              series("peak memory, MiB", 1, results, &Cost::memory),
                          })
            << '\n';
}

// --- growth ------------------------------------------------------------------------------------

struct Burst {
  double latency = 0;  // ms, the median of the fast requests
  double threads = 0;
  double memory = 0;  // MiB
};

// The most threads that a process has at once, looked for every millisecond in the background.
class PeakThreads {
 public:
  explicit PeakThreads(pid_t pid)
      : thread_([this, pid] {
          for (; !done_; pause_for(1ms)) peak_ = std::max(peak_.load(), thread_count(pid));
        }) {}
  ~PeakThreads() {
    done_ = true;
    thread_.join();
  }
  PeakThreads(const PeakThreads&) = delete;

  int get() const { return peak_; }

 private:
  std::atomic<bool> done_ = false;
  std::atomic<int> peak_ = 0;
  std::thread thread_;  // the last: it uses the others
};

// All clients at once, from this one thread: every second one asks for /sleep, the others for /.
Burst measure_burst(std::size_t program, int clients, std::chrono::milliseconds sleep) {
  Server server(subject(program, sleep), {}, quietly());
  wait_until_idle(server);
  for (int i = 0; i < 10; ++i)  // the first ones find nothing in a cache
    ask(server.port(), "/");
  const PeakThreads peak_threads(server.pid());
  std::vector<Exchange> exchanges;
  std::vector<Clock::time_point> begins;
  for (int i = 0; i < clients; ++i) {
    begins.push_back(Clock::now());
    exchanges.emplace_back(server.port(), request(i % 2 == 0 && clients > 1 ? "/sleep" : "/"));
  }
  Burst burst;
  std::vector<pollfd> waits(exchanges.size());
  const auto deadline = Clock::now() + 60s;
  while (!std::ranges::all_of(exchanges, &Exchange::is_over)) {
    if (Clock::now() > deadline) throw std::runtime_error(columns.at(program) + " is too slow");
    std::ranges::transform(exchanges, waits.begin(), &Exchange::wanted);
    ::poll(waits.data(), waits.size(), 1);
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].revents != 0) exchanges[i].advance();
    }
  }
  burst.threads = std::max(peak_threads.get(), thread_count(server.pid()));
  std::vector<double> latencies;
  for (std::size_t i = 0; i < exchanges.size(); ++i) {
    if (!exchanges[i].answer().is_ok())
      throw std::runtime_error("not all were answered by " + columns.at(program));
    const std::chrono::duration<double, std::milli> took = exchanges[i].answer().at - begins[i];
    if (i % 2 == 1 || clients == 1) latencies.push_back(took.count());
  }
  burst.latency = spread(latencies).median;
  burst.memory = peak_memory(server.pid()) / 1024.0;
  return burst;
}

// A client and its server need a descriptor each for every connection.
void allow_descriptors(rlim_t count) {
  rlimit limits{};
  ::getrlimit(RLIMIT_NOFILE, &limits);
  if (limits.rlim_cur >= count) return;
  limits.rlim_cur = count;
  if (limits.rlim_max < count || ::setrlimit(RLIMIT_NOFILE, &limits) == -1) {
    throw std::runtime_error("growth needs " + std::to_string(count) +
                             " descriptors, and ulimit -n allows fewer");
  }
}

std::vector<int> client_counts(const Settings& settings) {
  return settings.quick ? std::vector{1, 16} : std::vector{1, 4, 16, 64, 256, 1024};
}

void print_growth(const Settings& settings) {
  const std::vector<int> counts = client_counts(settings);
  const auto sleep = settings.quick ? 50ms : 10ms;
  const auto rounds = static_cast<std::size_t>(settings.rounds_or(3));
  std::vector<Growth> panels{{"fast requests, ms", 1, counts, {}},
                             {"threads", 0, counts, {}},
                             {"peak memory, MiB", 1, counts, {}}};
  std::size_t done = 0;
  for (const int clients : counts) {
    const auto results = interleave<Burst>(rounds, [&](std::size_t program) {
      const Burst burst = measure_burst(program, clients, sleep);
      show_progress("measured", ++done, counts.size() * rounds * program_count);
      return burst;
    });
    panels[0].at.push_back(series("", 0, results, &Burst::latency));
    panels[1].at.push_back(series("", 0, results, &Burst::threads));
    panels[2].at.push_back(series("", 0, results, &Burst::memory));
  }
  std::cout << "How it grows: clients all at the same time, half of them asking for /sleep of "
            << sleep.count()
            << " ms\n"
               "(limit does not sleep: its figures are those of the clients, and of the machine;\n"
               "last step: the last row divided by the one before)\n\n";
  for (const Growth& growth : panels) std::cout << text_growth(columns, growth) << '\n';
}

// --- pool --------------------------------------------------------------------------------------

Series pool_series(const std::string& name, std::size_t jobs, std::chrono::microseconds each,
                   int rounds) {
  Series series{name, 0, {}};
  for (int round = 0; round < rounds; ++round) {
    series.rounds.push_back(
        {loop_rate(jobs, each), pool_rate(jobs, each, 1), pool_rate(jobs, each, 4)});
  }
  return series;
}

// The workers' lines go to stdout, as they do in the server: there, to where its log goes.
class StdoutNowhere {
 public:
  StdoutNowhere() : kept_(::dup(STDOUT_FILENO)) {
    std::cout.flush();
    ::dup2(nowhere().get(), STDOUT_FILENO);
  }
  ~StdoutNowhere() { ::dup2(kept_.get(), STDOUT_FILENO); }
  StdoutNowhere(const StdoutNowhere&) = delete;

 private:
  FileDescriptor kept_;
};

void print_pool(const Settings& settings) {
  const int rounds = settings.rounds_or(7);
  const std::size_t jobs = settings.quick ? 400 : 20000;
  std::vector<Series> rows;
  {
    const StdoutNowhere quiet;
    rows = {pool_series("empty jobs", jobs, 0us, rounds),
            pool_series("jobs of 10 us", jobs, 10us, rounds)};
  }
  std::cout << "The pool alone, 4 workers: jobs per second through execute()\n"
            << text_table({"one thread", "1 producer", "4 producers"}, rows) << '\n';
}

int run(const Settings& settings) {
  if (settings.help) {
    std::cout << usage_text;
    return 0;
  }
  if (settings.wants("growth"))  // to be told before a minute has passed
    allow_descriptors(static_cast<rlim_t>(client_counts(settings).back()) + 100);
  if (settings.wants("cost")) print_costs(settings);
  std::cout.flush();
  if (settings.wants("growth")) print_growth(settings);
  std::cout.flush();
  if (settings.wants("pool")) print_pool(settings);
  flush_stdout();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("measure", usage_text, [&] { return run(parse({argc, argv})); });
}
