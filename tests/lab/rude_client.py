#!/usr/bin/env python3
"""A rude client: asks for /sleep, and a second later resets the connection. With --fin it first says, with a FIN,
that it will send no more, and then resets. The server's port is 7878, or the last argument."""

import socket
import struct
import sys
import time

port = int(sys.argv[-1]) if sys.argv[-1].isdigit() else 7878
client = socket.create_connection(("127.0.0.1", port))
client.sendall(b"GET /sleep HTTP/1.1\r\nHost: localhost\r\n\r\n")
time.sleep(1)
if "--fin" in sys.argv:
    client.shutdown(socket.SHUT_WR)
# To linger for 0 seconds makes the close a reset.
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
