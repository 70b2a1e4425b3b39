"""The exercises of the notes that change code, and what their checks share: those are in chapter_1.py and so on."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from server import NotYet, Server, Tree, how, require, run


@dataclass
class Exercise:
    """One exercise that changes code, and how to see that it has been solved."""

    name: str  # "1.2": chapter and number
    targets: list[str]  # what to build of the student's tree
    stage: int = 0  # the server that it is about; 0 if it is about none
    kept: list[int] = field(default_factory=list)  # promises
    broken: list[int] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)  # scenarios of explore --pool
    twins: bool = True  # also built with sanitizers
    probes: list[Callable[[Tree], None]] = field(default_factory=list)  # each raises NotYet

    def check(self, tree: Tree) -> None:
        """Tries all, a few at a time, as they mostly wait. Throws NotYet with what the first ones miss."""
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(lambda probe: missing(lambda: probe(tree)), self.probes))
        require(not any(told), "\n".join(list(filter(None, told))[:3]))


def missing(check: Callable[[], None]) -> str:
    """What a check finds missing, in words; "" if nothing."""
    try:
        check()
    except (NotYet, OSError) as error:
        return str(error)
    except Exception as error:  # as of a server that ends while it is looked at
        return f"The judge could not check this: {error!r}"
    return ""


EXERCISES: dict[str, Exercise] = {}


def exercise(name: str, *targets: str, **judged) -> None:
    EXERCISES[name] = Exercise(name, list(targets), **judged)


def probe(name: str):
    """Registers one of the things that an exercise is asked."""

    def register(check: Callable[[Tree], None]):
        EXERCISES[name].probes.append(check)
        return check

    return register


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def require_rest(server: Server, when: str) -> None:
    """That it waits without spinning."""
    before = server.wanted_cpu()
    time.sleep(1)
    wanted = server.wanted_cpu() - before
    require(wanted < 0.25, f"{when}, it should use hardly any CPU time, but needs {wanted:.2f} s in one second.")


def pool_runs(tree: Tree, scene: str) -> None:
    """The student's pool, linked with jobs of ours: pool_probe.cpp says what a scene is."""
    command = [tree.link(Path(__file__).with_name("pool_probe.cpp"), 3, "thread_pool"), scene]
    ended = run(command, 90, env={**os.environ, **tree.environment})
    said = (ended.stdout.strip().splitlines() or [""])[-1]
    tail = f" Its stderr ends with: {ended.stderr.strip()[-200:]}" if ended.stderr.strip() else ""
    reason = said if ended.returncode == 1 else f"{how(ended.returncode)}.{tail}"
    require(ended.returncode == 0, f"Your pool, with the judge's own jobs ({scene}): {reason}")
