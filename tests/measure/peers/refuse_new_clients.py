#!/usr/bin/env python3
"""Which clients does a listening socket still serve once it is bound to a network interface that does not exist?"""

import contextlib
import socket
import time

SO_BINDTOIFINDEX = 62  # Linux 5.0; for everybody since 5.7. Python has no name for it.
NOWHERE = 2**31 - 1


def states(port: int) -> list[str]:
    """Of the connections to `port`, as the kernel's table has them (proc(5))."""
    with open("/proc/net/tcp") as table:
        rows = [row.split() for row in table][1:]
    return [row[3] for row in rows if row[1].endswith(f":{port:04X}")]


def show(port: int) -> None:
    time.sleep(0.1)
    print("   handshakes under way (state 03):", states(port).count("03"))


listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(1)
address = listener.getsockname()

first = socket.create_connection(address)
print("client 1 connects, and waits in the accept queue")
# From here on the kernel completes a connection only when a byte has come: so a handshake can be held.
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
second = socket.create_connection(address)
print("client 2 begins a handshake, and does not complete it")
show(address[1])

listener.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, NOWHERE)
print("the listening socket is bound to an interface that does not exist")
start = time.monotonic()
try:
    socket.create_connection(address)
    print("client 3 connects")
except OSError as error:
    print(f"client 3 connects: {error.strerror}, after {1000 * (time.monotonic() - start):.1f} ms")
show(address[1])

second.sendall(b"!")
print("client 2 completes its handshake")
show(address[1])
accepted = 0
with contextlib.suppress(TimeoutError):
    while True:
        listener.accept()
        accepted += 1
print("accepted:", accepted)
