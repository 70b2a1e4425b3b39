#!/usr/bin/env python3
"""Two listening sockets share a port by SO_REUSEPORT, 40 clients wait in their accept queues, and one is closed."""

import socket

A_MOMENT = 0.2  # seconds, in which a reset would have come


def listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen(100)
    return made


def is_reset(client: socket.socket) -> bool:
    client.settimeout(A_MOMENT)
    try:
        client.recv(1)
    except ConnectionResetError:
        return True
    except TimeoutError:
        pass
    return False


one = listener(0)
port = one.getsockname()[1]
other = listener(port)
clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
one.close()
print(sum(map(is_reset, clients)), "of 40 clients were reset")
