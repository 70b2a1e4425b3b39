#!/usr/bin/env python3
"""Faults of one line each in stage 4: does explore find them?

Those of the pool and its channel are judged as a reader's own pool is, the others in the whole server. Exit status: 0
if explore says of all what is known of them.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import patches

ROOT = patches.ROOT

CHANNEL = "common/channel.hpp"
POOL = "stage4_graceful_shutdown/thread_pool.cpp"
ACCEPTOR = "stage4_graceful_shutdown/acceptor.cpp"
STOP = "stage4_graceful_shutdown/stop_signal.cpp"
GRACE = "stage4_graceful_shutdown/grace_period.cpp"
TCP = "common/tcp.cpp"
MAIN = "stage4_graceful_shutdown/main.cpp"
GRACE_H = "stage4_graceful_shutdown/grace_period.hpp"


@dataclass(frozen=True)
class Mutant:
    file: str
    old: str
    new: str
    found: str  # how what explore says begins, mostly with the kind of failure; or nothing, and then
    why: str = ""  # it is no fault


LOCK = "    const std::lock_guard lock(state_->mutex);\n"

MUTANTS = [
    # The end of the channel.
    Mutant(CHANNEL, LOCK + "    state_->closed = true;", "    state_->closed = true;", "data race"),
    Mutant(CHANNEL, "    state_->closed = true;\n", "", "hang"),
    Mutant(CHANNEL, "    state_->changed.notify_all();\n", "", "hang"),
    Mutant(CHANNEL, "state_->changed.notify_all();", "state_->changed.notify_one();", "hang"),
    Mutant(CHANNEL, "state_->changed.notify_all();", "state_->emptied.notify_all();", "hang"),
    Mutant(CHANNEL, "state_->closed = true;\n    state_->changed.notify_all();", "state_->changed.notify_all();\n    state_->closed = true;", "", "the mutex is held for both, so nobody can tell which comes first"),
    # Sending.
    Mutant(CHANNEL, "      " + LOCK.strip() + "\n      state_->queue.splice", "      state_->queue.splice", "data race"),
    Mutant(CHANNEL, "    state_->changed.notify_one();\n", "", "hang"),
    Mutant(CHANNEL, "    state_->changed.notify_one();\n", "    state_->emptied.notify_one();\n", "hang"),
    Mutant(CHANNEL, "    state_->changed.notify_one();\n", "    state_->changed.notify_all();\n", "", "those that find nothing wait again: it is only slower"),
    Mutant(CHANNEL, "      state_->queue.splice(state_->queue.end(), one);\n    }\n    state_->changed.notify_one();", "    }\n    state_->changed.notify_one();", "job lost"),
    Mutant(CHANNEL, "if (!state_) return;\n", "if (state_) return;\n", "crash"),
    # Receiving.
    Mutant(CHANNEL, "state_->changed.wait(lock, [&] { return !state_->queue.empty() || state_->closed; });", "if (state_->queue.empty() && !state_->closed) state_->changed.wait(lock);", "left early"),
    Mutant(CHANNEL, "return !state_->queue.empty() || state_->closed;", "return !state_->queue.empty();", "hang"),
    Mutant(CHANNEL, "return !state_->queue.empty() || state_->closed;", "return state_->closed;", "hang"),
    Mutant(CHANNEL, "return !state_->queue.empty() || state_->closed;", "return state_->closed || true;", "left early"),
    Mutant(CHANNEL, "    if (state_->queue.empty()) return std::nullopt;", "    if (state_->closed) return std::nullopt;", "job lost"),
    Mutant(CHANNEL, "    std::unique_lock lock(state_->mutex);\n    state_->changed.wait(lock, [&] { return !state_->queue.empty() || state_->closed; });", "    std::unique_lock lock(state_->mutex);\n    state_->changed.wait(lock, [&] { return !state_->queue.empty() || state_->closed; });\n    lock.unlock();", "data race"),
    Mutant(CHANNEL, "    if (state_->queue.empty()) state_->emptied.notify_one();\n", "", "", "let_catch_up() waits for its millisecond each time: it is only slower"),
    Mutant(CHANNEL, "state_->queue.begin());\n", "state_->queue.begin());\n    state_->queue.clear();\n", "job lost"),
    Mutant(CHANNEL, "one.splice(one.end(), state_->queue, state_->queue.begin());", "one.push_back(std::move(state_->queue.front()));", "crash"),
    # Catching up.
    Mutant(CHANNEL, "    std::unique_lock lock(state_->mutex);\n    if (state_->queue.size() <= few) return;", "    if (state_->queue.size() <= few) return;\n    std::unique_lock lock(state_->mutex);", "data race"),
    Mutant(CHANNEL, "state_->emptied.wait_for(lock, limit, [&] { return state_->queue.empty(); });", "state_->emptied.wait(lock, [&] { return state_->queue.empty(); });", "hang"),
    # The pool.
    Mutant(POOL, "  sender_.reset();\n", "", "hang"),
    Mutant(POOL, "    std::exchange(worker.thread, {}).join();", "    if (worker.id > 0) std::exchange(worker.thread, {}).join();", "terminate"),
    Mutant(POOL, "std::exchange(worker.thread, {}).join();", "std::exchange(worker.thread, {}).detach();", "not joined"),
    Mutant(POOL, "    std::exchange(worker.thread, {}).join();  // Option::take, then join.\n", "", "terminate"),
    Mutant(POOL, "    job();\n  } catch (const std::exception& error) {", "    job();\n    job();\n  } catch (const std::exception& error) {", "job run twice"),
    Mutant(POOL, "  } catch (const std::exception& error) {\n    warn_line({\"Worker \", Digits(id), \"'s job failed: \", error.what()});\n  } catch (...) {", "  } catch (const std::bad_alloc&) {", "terminate"),
    Mutant(POOL, "while (std::optional<Job> job = receiver.recv()) {", "if (std::optional<Job> job = receiver.recv()) {", "left early"),
    Mutant(POOL, "    run(*job, id);\n", "", "job lost"),
    Mutant(POOL, "    run(*job, id);\n", "    run(*job, id);\n    if (id > 0) break;\n", "left early"),
    Mutant(POOL, "ThreadPool::ThreadPool(std::size_t size) : ThreadPool() {", "ThreadPool::ThreadPool(std::size_t size) {", "terminate"),
    Mutant(POOL, "id < size; ++id", "id + 1 < size; ++id", "job lost"),
    Mutant(POOL, "void ThreadPool::execute(Job job) { sender_->send(std::move(job)); }", "void ThreadPool::execute(Job job) { job(); }", "hang"),
    Mutant(POOL, "sender_->wait_if_more_than(workers_.size());", "sender_->wait_if_more_than(0);", "", "it waits more often, and at most for a millisecond"),
    Mutant(POOL, "  } catch (...) {\n    warn_line({\"Worker \", Digits(id), \"'s job failed.\"});\n", "", "terminate"),
    Mutant(CHANNEL, "    std::swap(state_, other.state_);\n", "    state_ = other.state_;\n", "", "the pool never assigns to a Sender: it moves one into an optional"),
    Mutant(CHANNEL, "state_->queue, state_->queue.begin()", "state_->queue, std::prev(state_->queue.end())", "", "which job comes first is not promised"),
    Mutant(CHANNEL, "    if (state_->queue.empty()) return std::nullopt;\n", "", "explore: worker 0 does not come to its next step"),
    Mutant(CHANNEL, "    if (state_->queue.size() <= few) return;\n", "", "", "it waits more often, and at most for a millisecond"),
    Mutant(CHANNEL, "one);\n    }\n    state_->changed.notify_one();", "one);\n      if (state_->queue.size() == 1) state_->changed.notify_one();\n    }", "hang"),
    # Accepting, up to the stop and after it.
    Mutant(ACCEPTOR, "    if (!refusing_ && stop_signal::time()) refuse_new_connections();\n", "", "never ends"),
    Mutant(ACCEPTOR, "      if (last_look) return std::nullopt;\n", "      return std::nullopt;\n", "refused"),
    Mutant(ACCEPTOR, "      last_look = !wait_for_somebody();", "      if (!wait_for_somebody()) return std::nullopt;", "request lost"),
    Mutant(ACCEPTOR, "  return is_handshake_under_way() && Clock::now() < grace_.last_call();", "  return false;", "request lost"),
    Mutant(ACCEPTOR, '": %08X:%04X "', '": %08x:%04x "', "request lost"),
    Mutant(ACCEPTOR, '.starts_with("03 ")', '.starts_with("01 ")', "request lost"),
    Mutant(ACCEPTOR, "  accept_until_ = grace_.end();\n#ifdef", "  accept_until_ = Clock::now();\n#ifdef", "request lost"),
    Mutant(ACCEPTOR, "      std::this_thread::sleep_for(pause_time);\n", "", "never ends"),
    Mutant(ACCEPTOR, "Clock::time_point::max(), stop_signal::fd());", "Clock::time_point::max(), -1);", "exit status"),
    Mutant(TCP, "if (broken || (no_room && !patiently))", "if (broken || no_room)", "refused"),
    # Hearing the stop.
    Mutant(STOP, "  if (!pipe_closed.test_and_set()) ::close(stop_pipe[1]);\n", "", "never ends"),
    Mutant(STOP, "  set_once(tripped_at, now);\n", "", "never ends"),
    Mutant(STOP, "one_key_press = 300ms", "one_key_press = 0ms", "request lost"),
    Mutant(STOP, "one_key_press = 300ms", "one_key_press = 3000ms", "exit status"),
    Mutant(STOP, "for (const int signal : {SIGINT, SIGTERM, SIGHUP})", "for (const int signal : {SIGINT, SIGHUP})", "ended by a signal"),
    # The grace period.
    Mutant(GRACE, "    const std::lock_guard lock(mutex_);\n", "", "data race"),
    Mutant(GRACE, "    done_ = true;\n", "", "exit status"),
    Mutant(GRACE, "  done_changed_.notify_one();\n", "", "too slow"),
    Mutant(GRACE, "  thread_.join();\n", "", "terminate"),
    Mutant(GRACE, "wait_readable(fd, std::min(deadline, last_call()))", "wait_readable(fd, deadline)", "too slow"),
    Mutant(GRACE, "min<std::chrono::milliseconds>(1s, limit_ * 3 / 4)", "max<std::chrono::milliseconds>(1s, limit_ * 3 / 4)", "too slow"),
    Mutant(GRACE, "  stop_signal::trip();  // for the exits without a stop: watch() waits for one\n", "", "never ends"),
    # Whatever else could go wrong.
    Mutant(POOL, "  sender_.reset();\n  for (Worker& worker : workers_) {\n    log_line({\"Shutting down worker \", Digits(worker.id)});\n    std::exchange(worker.thread, {}).join();  // Option::take, then join.\n  }\n", "  for (Worker& worker : workers_) {\n    log_line({\"Shutting down worker \", Digits(worker.id)});\n    std::exchange(worker.thread, {}).join();  // Option::take, then join.\n  }\n  sender_.reset();\n", "hang"),
    Mutant(ACCEPTOR, "  stop_signal::trip();\n", "", "too slow"),
    Mutant(ACCEPTOR, "handshake_pause = 2ms", "handshake_pause = 0ms", "never ends"),
    Mutant(ACCEPTOR, "  return count == -1;", "  return true;", "too slow"),
    Mutant(ACCEPTOR, "at = rows.find(address, at + 1)", "at = rows.npos", "request lost"),
    Mutant(STOP, "    if (signal == SIGHUP && inherited.sa_handler == SIG_IGN) continue;\n", "", "exit status"),
    Mutant(GRACE, "  if (idle && done_changed_.wait_for(lock, 1s, done)) return;\n", "", "exit status"),
    Mutant(GRACE, "  ::_exit(1);  // exit()", "  std::exit(1);  // exit()", "unsafe exit"),
    Mutant(GRACE, "limit_ * 3 / 4", "limit_ * 2", "exit status"),
    Mutant(GRACE, "return stop ? *stop + time", "return stop ? Clock::now() + time", "never ends"),
    Mutant(CHANNEL, "bool closed = false;", "bool closed = true;", "left early"),
    Mutant(POOL, "for (Worker& worker : workers_) {\n    log_line", "for (Worker& worker : workers_) {\n    if (&worker == &workers_.back()) break;\n    log_line", "terminate"),
    Mutant(ACCEPTOR, "is_handshake_under_way() && Clock::now() < grace_.last_call()", "is_handshake_under_way()", "never ends"),
    Mutant(STOP, "  set_once(tripped_at, now);\n  if (!pipe_closed.test_and_set()) ::close(stop_pipe[1]);\n", "  if (!pipe_closed.test_and_set()) ::close(stop_pipe[1]);\n  set_once(tripped_at, now);\n", "too slow"),
    Mutant(GRACE, "running_ == 0 && waiting_ == 0", "running_ == 0 || waiting_ == 0", "too slow"),
    Mutant(MAIN, "  GracePeriod grace(options.grace);\n  ThreadPool pool(options.workers);\n", "  ThreadPool pool(options.workers);\n  GracePeriod grace(options.grace);\n", "exit status"),
    Mutant(GRACE_H, "    explicit Ticket(GracePeriod& grace) : grace_(&grace), counted_(count_in(grace.waiting_)) {}", "    explicit Ticket(GracePeriod& grace) : grace_(&grace), counted_(count_in(grace.running_)) {}", "not said"),
    Mutant(GRACE_H, "{ --*counted; }", "{ (void)counted; }", "not said"),
    Mutant(GRACE_H, "  bool done_ = false;  // guarded by mutex_\n  std::thread thread_;", "  std::thread thread_;\n  bool done_ = false;  // guarded by mutex_", "data race"),
]


def put_into(folder: Path, mutant: Mutant) -> None:
    file = folder / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} has {mutant.old!r} {text.count(mutant.old)} times")
    file.write_text(text.replace(mutant.old, mutant.new))


def kinds_of(*command: str | Path) -> str:
    """The kinds of failure that explore tells of, one after the other."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 2:
        return result.stderr
    return " ".join(re.findall(r"^  (.+), in order ", result.stdout, re.MULTILINE))


def try_in_pool(explore: Path, mutant: Mutant) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "common", folder / "common")
        shutil.copytree(ROOT / Path(POOL).parent, folder / Path(POOL).parent)
        put_into(folder, mutant)
        return kinds_of(explore, "--pool", folder / Path(POOL).parent)


def try_in_server(explore: Path, copy: patches.Copy, mutant: Mutant) -> str:
    before = (copy.folder / mutant.file).read_text()
    put_into(copy.folder, mutant)
    try:
        copy.build("tests/stage4_server.so")
    finally:
        (copy.folder / mutant.file).write_text(before)
    return kinds_of(explore, "--server", "--module", copy.folder / "build/tests/stage4_server.so")


def shown(mutant: Mutant) -> str:
    def line(text: str) -> str:
        return re.sub(r"\s+", " ", text).strip()[:60] or "(nothing)"

    return f"{Path(mutant.file).name}: {line(mutant.old)}  ->  {line(mutant.new)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--explore", type=Path, default=ROOT / "build/tests/explore")
    parser.add_argument("number", type=int, nargs="*", help="only these")
    arguments = parser.parse_args()
    chosen = arguments.number or range(len(MUTANTS))
    wrong = 0
    with patches.temporary_copy() as copy, ThreadPoolExecutor(2) as both, ThreadPoolExecutor(1) as one:

        def begin(mutant: Mutant):
            if mutant.file in (CHANNEL, POOL):
                return both.submit(try_in_pool, arguments.explore, mutant)
            return one.submit(try_in_server, arguments.explore, copy, mutant)

        for at, future in [(at, begin(MUTANTS[at])) for at in chosen]:
            mutant, kinds = MUTANTS[at], future.result()
            right = kinds.startswith(mutant.found) if mutant.found else not kinds
            wrong += not right
            print(f"{at:2} {kinds or 'no fault':14} {shown(mutant)}", flush=True)
            if mutant.why:
                print(f"   {mutant.why}")
            if not right:
                print(f"   SHOULD BE {mutant.found or 'no fault'}")
    found = sum(bool(MUTANTS[at].found) for at in chosen)
    print(f"{found} faults and {len(chosen) - found} that are none: {wrong or 'none'} not as known.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
