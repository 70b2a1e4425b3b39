#!/usr/bin/env python3
"""Faults of one line each in the pool and its channel: does explore find them?

Each is put into a copy of the pool, and judged as a reader's own pool is. Exit status: 0 if explore says of all what is
known of them.
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

ROOT = Path(__file__).resolve().parent.parent.parent

CHANNEL = "common/channel.hpp"
POOL = "stage4_graceful_shutdown/thread_pool.cpp"


@dataclass(frozen=True)
class Mutant:
    file: str
    old: str
    new: str
    found: str  # the kind of failure that explore tells of; or nothing, and then
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
]


def try_one(explore: Path, mutant: Mutant) -> str:
    """The kinds of failure that explore tells of, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in [*(ROOT / "common").glob("*.hpp"), *(ROOT / "stage4_graceful_shutdown").glob("thread_pool.*")]:
            target = folder / ("common" if file.parent.name == "common" else "") / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
        changed = folder / (mutant.file if mutant.file == CHANNEL else Path(mutant.file).name)
        text = changed.read_text()
        if text.count(mutant.old) != 1:
            return "the line is not there, or not once"
        changed.write_text(text.replace(mutant.old, mutant.new))
        result = subprocess.run([explore, "--pool", folder], capture_output=True, text=True)
        if result.returncode == 2:
            return result.stderr
        return " ".join(re.findall(r"^  (.+), in order ", result.stdout, re.MULTILINE))


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
    with ThreadPoolExecutor(2) as pool:
        for at, kinds in zip(chosen, pool.map(lambda at: try_one(arguments.explore, MUTANTS[at]), chosen)):
            mutant = MUTANTS[at]
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
