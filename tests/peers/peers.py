#!/usr/bin/env python3
"""Are the verdicts of `promises` fair? Judges the servers of this folder, which are right and wrong in known ways, and
holds each verdict against what it should be.

peers.py [NAME...]: all of them, or only these; the Python, C++, Go and Node servers, and busybox, lighttpd and nginx
where they are installed. What is missing is named, and left out.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PYTHON = [sys.executable, HERE / "server.py", "{port}", "{sleep}"]
NODE = ["node", HERE / "server.js", "{port}", "{sleep}"]
SLEEP = "#!/bin/sh\nsleep 1\nprintf 'Content-Type: text/html\\r\\n\\r\\n<h1>Hello!</h1>'\n"
ENDLESS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    try:
        client.recv(1000)
        client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
        while True:
            client.sendall(b"x" * 65536)
    except OSError:
        pass
"""
# It has many descriptors, and its server does not.
WRAPPER = """
import subprocess, sys
kept = [open("/dev/null") for _ in range(60)]
sys.exit(subprocess.call([sys.executable, "{server}", *sys.argv[1:]]))
"""
LIMIT = 60  # seconds a server


@dataclass
class Peer:
    """`kept` and `broken`: these promises and no others, but for those that are open (by luck, or not judged)."""

    command: list
    kept: str = ""
    broken: str = ""
    says: list[str] = field(default_factory=list)  # found in the lines above the matrix, or in an evidence
    port: bool = False  # it has to be told one
    error: str = ""  # it is not judged, for this
    left_behind: bool = False
    only: str = ""  # these promises


def python(*words: str, **peer) -> Peer:
    return Peer([*PYTHON, *words], **peer)


GRACEFUL = {"kept": "2 4 5 7 13 15 17", "broken": "1 3 6 8 10 14 16"}  # Python's, in whatever dialect
NODE_GRACEFUL = {"kept": "2 3 4 5 7 11 13 15 17", "broken": "1 6 8 10 14 16"}
GO = {"kept": "2 3 4 5 7 11 13 15 17", "broken": "1 8 10 14 16"}  # 6 by luck
LOOP = {"kept": "2 3 4 5 8 13 15 17", "broken": "1 6 7 10 11 14 16"}

PEERS = {
    "python-1.0": python("1.0", "graceful", **GRACEFUL),
    "python-1.1": python("1.1", "graceful", **GRACEFUL),
    "python-lower": python("lower", "graceful", **GRACEFUL),
    "python-chunked": python("chunked", "graceful", **GRACEFUL),
    "python-as-it-comes": python("1.0", kept="2 13 17", broken="1 3 4 5 6 7 8 9 10 11 14 15 16"),
    "python-one": python("1.1", "graceful", "one", kept="3 4 13 15", broken="1 2 5 6 7 8 16 17",
                         says=["takes one client at a time"]),
    "python-v6": python("1.1", "graceful", "v6", **GRACEFUL),
    "python-late": python("1.1", "graceful", "late", **GRACEFUL),
    "python-awake": python("1.1", "graceful", "awake", broken="1 2 3 4 5 6 7 9 10 13 15 16 17",
                           says=["GET /sleep takes", "it does not sleep"]),
    "python-two-ports": python("1.1", "graceful", "two", **GRACEFUL, says=["It listens on more than one port"]),
    "python-chatty": python("1.1", "graceful", "chatty", **GRACEFUL),
    "python-lingering": python("1.1", "graceful", "linger", **GRACEFUL),
    "python-early": python("1.1", "graceful", "early", **GRACEFUL),
    "python-waits": python("1.1", "graceful", "waits", broken="2 3", says=["201 threads for 200 clients"], only="2,3"),
    "python-dies": python("1.1", "pool", "dies", broken="3", says=["serves 0 at a time"], only="3"),
    "python-session": Peer(["setsid", "-w", sys.executable, HERE / "server.py", "PORT", "1000", "1.1", "graceful"],
                           port=True, kept="2 13", only="2,13"),
    "python-wrapped": Peer(["FOLDER/wrapper", "{port}", "{sleep}", "1.1", "graceful"], **GRACEFUL,
                           says=["spins while out of descriptors"]),
    "python-daemon": python("1.1", "daemon", error="has gone into the background"),
    "forker": python("1.1", "graceful", "litter", **GRACEFUL, left_behind=True),
    "node": Peer(NODE, kept="2 3 13 17", broken="1 4 5 6 7 8 9 10 11 14 15 16"),
    "node-graceful": Peer([*NODE, "graceful"], **NODE_GRACEFUL),
    "node-v6": Peer([*NODE, "graceful", "v6"], **NODE_GRACEFUL),
    "go": Peer(["FOLDER/go", "{port}", "{sleep}"], **GO),
    "go-keep-alive": Peer(["FOLDER/go", "{port}", "{sleep}", "keep-alive"], **GO),
    "cpp-eintr": Peer(["FOLDER/cpp", "{port}", "{sleep}", "eintr"], kept="2 3 13 17",
                      broken="1 4 5 6 7 10 11 14 15 16"),
    "cpp-fixed": Peer(["FOLDER/cpp", "{port}", "{sleep}", "fixed"], **LOOP),
    "cheat-limits": Peer(["FOLDER/cpp", "{port}", "{sleep}", "limits"], **LOOP),
    "fork-per-request": Peer(["FOLDER/cpp", "{port}", "{sleep}", "fork"], kept="2 4 5 13 15 17",
                             broken="1 3 6 7 8 10 11 14 16", says=["201 threads in 201 processes"]),
    "hang": Peer(["FOLDER/cpp", "{port}", "{sleep}", "hang"], broken="1 2 3 4 5 6 7 8 10 11 13 14 15 16 17",
                 says=["GET / gets no answer"]),
    "hang-alone": Peer(["FOLDER/cpp", "PORT", "1000", "hang"], port=True,
                       broken="1 2 3 4 5 6 7 8 10 11 13 14 15 16 17",
                       says=["a server that has answered nobody yet"]),
    "endless": Peer([sys.executable, "-c", ENDLESS, "{port}", "{sleep}"], broken="1 6 8 11 16",
                    says=["still without the close that ends it"]),
    "flood": Peer(["yes"], error="runs, and listens nowhere"),
    "no-compile": Peer(["FOLDER/not_there"], error="cannot run .*: No such file or directory"),
    "ends-at-once": Peer(["sh", "-c", "echo no such option >&2; exit 3"], error=r"exit 3\): no such option"),
    "listens-elsewhere": Peer([sys.executable, HERE / "server.py", "0", "400", "1.1"], port=True,
                              error="nobody listens on .* listens on 127.0.0.1:"),
    "busybox": Peer(["busybox", "httpd", "-f", "-p", "127.0.0.1:PORT", "-h", "FOLDER"], port=True,
                    broken="1 3 4 5 6 7 8 9 10 11 13 15", says=["GET /sleep takes", "it does not sleep"]),
    "lighttpd": Peer(["lighttpd", "-D", "-f", HERE / "lighttpd.conf"], port=True, kept="2 5 13 17",
                     broken="3 6 7 8 10 11 14 15 16", says=["in 401 processes"]),  # its /sleep is a script
    "nginx": Peer(["nginx", "-p", "FOLDER", "-c", "FOLDER/nginx.conf"], port=True, broken="4 5 7 9 10 13 15",
                  says=["GET /sleep takes"]),
}


def numbers(text: str) -> set[int]:
    return {int(word) for word in text.split()}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def missing(peer: Peer) -> str:
    """The program that it takes, if it is not there."""
    name = str(peer.command[0]).replace("FOLDER/go", "go")
    return "" if "/" in name or shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") else name


def prepare(folder: Path) -> None:
    """What the servers are started from: pages, settings, programs."""
    folder.chmod(0o755)  # nginx's workers may be another user
    (folder / "index.html").write_text("<h1>Hello!</h1>")
    (folder / "404.html").write_text("<h1>Oops!</h1>")
    (folder / "sleep").write_text(SLEEP)
    (folder / "wrapper").write_text(f"#!{sys.executable}\n{WRAPPER.format(server=HERE / 'server.py')}")
    (folder / "wrapper").chmod(0o755)
    subprocess.run(["g++", "-std=c++20", "-o", folder / "cpp", HERE / "server.cpp"], check=True)
    if shutil.which("go"):
        environment = {"GOCACHE": str(folder / "cache"), "HOME": str(folder), "GOFLAGS": "-mod=mod"}
        command = ["go", "build", "-o", folder / "go", HERE / "server.go"]
        subprocess.run(command, check=True, env={**os.environ, **environment})


def judge(peer: Peer, folder: Path, checker: Path) -> tuple[list[dict], int, str, float]:
    port = free_port()
    if "nginx" in peer.command:
        (folder / "nginx.conf").write_text((HERE / "nginx.conf").read_text().replace("PORT", str(port)))
    command = [str(word).replace("FOLDER", str(folder)).replace("PORT", str(port)) for word in peer.command]
    flags = ["--port", str(port), "--sleep", "1000"] if peer.port else []
    flags += ["--only", peer.only] if peer.only else []
    environment = {**os.environ, "PORT": str(port), "FOLDER": str(folder), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    start = time.monotonic()
    line = [checker, "--json", *flags, "--", *command]
    pipes = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    result = subprocess.run(line, env=environment, timeout=2 * LIMIT, **pipes)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    return told, result.returncode, result.stderr, time.monotonic() - start


def faults(peer: Peer, told: list[dict], seconds: float) -> list[str]:
    """What is not as it should be."""
    if peer.error:
        error = next((one["error"] for one in told if "error" in one), "")
        return [] if re.search(peer.error, error) else [f"should be refused as '{peer.error}', not: {error or told}"]
    verdicts = {one["promise"]: one for one in told if "promise" in one}
    if len(verdicts) != (peer.only.count(",") + 1 if peer.only else 17):
        return [f"has verdicts for {sorted(verdicts)} only: {told}"]
    found = []
    for word, wanted in ("kept", numbers(peer.kept)), ("broken", numbers(peer.broken)):
        for number in sorted(wanted):
            if verdicts[number]["verdict"] != word:
                found.append(f"promise {number} should be {word}: {verdicts[number]['evidence']}")
    lines = [one["note"] for one in told if "note" in one] + [one["evidence"] for one in verdicts.values()]
    found += [f"nothing says '{text}': {lines}" for text in peer.says if not any(text in line for line in lines)]
    total = told[-1]
    if (total["left_behind"] > 0) != peer.left_behind:
        found.append(f"left behind: {total['left_behind']}")
    if seconds > LIMIT + 5:
        found.append(f"took {seconds:.0f} s")
    return found


def try_peer(name: str, peer: Peer, folder: Path, checker: Path, every: bool) -> bool:
    """Says what was seen of it. Is anything not as it should be?"""
    if program := missing(peer):
        print(f"{name}: left out, there is no {program}")
        return False
    told, status, stderr, seconds = judge(peer, folder, checker)
    found = faults(peer, told, seconds)
    if status != (2 if peer.error else 1 if peer.broken else 0):
        found.append(f"exit status {status}")
    verdicts = [one["verdict"] for one in told if "verdict" in one]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("kept", "broken", "not judged here"))
    lines = [f"{name}: {counts}; {seconds:.1f} s {' '.join(stderr.split())[:300]}"]
    if every:
        lines += [f"  {one.get('promise', ' ')} {one.get('verdict', ' ')}: {one.get('evidence', one)}" for one in told]
    print("\n".join([*lines, *(f"BUT {name}: {fault}" for fault in found)]), flush=True)
    return bool(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checker", type=Path, default=ROOT / "build/tests/promises")
    parser.add_argument("--all", action="store_true", help="print each verdict")
    parser.add_argument("name", nargs="*", help="only these")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        prepare(folder)
        chosen = [(name, PEERS[name]) for name in arguments.name or PEERS]
        wrong = sum(pool.map(lambda one: try_peer(*one, folder, arguments.checker.resolve(), arguments.all), chosen))
    print(f"{wrong} of them judged otherwise than they should be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
