#!/usr/bin/env python3
"""What does a server do at a stop with the connections in its accept queue, and with a silent client?

    queue_at_a_stop.py PORT SIGNAL PID...

PID is the server's main process, and then its workers, if they are processes. They are frozen (SIGSTOP) while 50 clients
send a request; the first gets the signal; then all are thawed. `silent` instead of 50 clients: one that says nothing.

    nginx -p tests/measure/peers -c nginx.conf &            queue_at_a_stop.py 7899 QUIT MAIN WORKER
    go build -o /tmp/server tests/measure/peers/server.go && /tmp/server 7815 &       queue_at_a_stop.py 7815 TERM PID
    queue_at_a_stop.py 7899 QUIT MAIN WORKER silent
"""

import collections
import os
import signal
import socket
import sys
import time


def outcome(client: socket.socket) -> str:
    try:
        return client.recv(65536)[:12].decode() or "closed without an answer"
    except OSError as error:
        return str(error)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


silent = sys.argv[-1] == "silent"
port, name, *numbers = sys.argv[1 : len(sys.argv) - silent]
pids = [int(number) for number in numbers]

for pid in pids if not silent else []:
    os.kill(pid, signal.SIGSTOP)
clients = [socket.create_connection(("127.0.0.1", int(port)), timeout=90) for _ in range(1 if silent else 50)]
if silent:
    time.sleep(0.5)  # it is to be accepted
else:
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
stopped_at = time.monotonic()
os.kill(pids[0], getattr(signal, "SIG" + name))
for pid in pids:
    os.kill(pid, signal.SIGCONT)
for text, count in collections.Counter(map(outcome, clients)).items():
    print(f"{count} {text}")
while is_running(pids[0]) and time.monotonic() < stopped_at + 90:
    time.sleep(0.01)
print(f"{'still runs' if is_running(pids[0]) else 'ended'} after {time.monotonic() - stopped_at:.1f} s")
