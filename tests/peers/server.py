"""Python's http.server, in four dialects of HTTP, and in other ways to be a server.

server.py PORT SLEEP_MS DIALECT [WAY...]: 1.0, as it comes; 1.1, with a length; lower, the same in lower case; chunked.
Ways: v6, on [::]; graceful, it ends when all are served; one, one client at a time; awake, /sleep does not sleep;
late, it starts to listen after 5 s; daemon, in the background; chatty, 10,000 lines a second; two, on a second port;
linger, it closes only after its client; litter, with five children in sessions of their own.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

port, sleep_ms, dialect, ways = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if dialect == "1.0" else "HTTP/1.1"

    def do_GET(self):
        if self.path == "/sleep" and "awake" not in ways:
            time.sleep(sleep_ms / 1000)
        found = self.path in ("/", "/sleep")
        body = b"<h1>Hello!</h1>" if found else b"<h1>Oops!</h1>"
        self.send_response(200 if found else 404)
        if dialect == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        elif dialect != "1.0":
            self.send_header("content-length" if dialect == "lower" else "Content-Length", str(len(body)))
        if dialect != "1.0":
            self.send_header("connection" if dialect == "lower" else "Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Server(HTTPServer if "one" in ways else ThreadingHTTPServer):
    address_family = socket.AF_INET6 if "v6" in ways else socket.AF_INET
    request_queue_size = 128
    daemon_threads = False  # so that server_close() waits for them

    def shutdown_request(self, request):
        if "linger" in ways:
            request.shutdown(socket.SHUT_WR)
            while request.recv(4096):
                pass
        super().shutdown_request(request)


if "late" in ways:
    time.sleep(5)
if "daemon" in ways and os.fork():
    time.sleep(0.3)
    sys.exit(0)
if "daemon" in ways:
    os.setsid()
if "litter" in ways:
    for _ in range(5):
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
if "chatty" in ways:
    threading.Thread(target=lambda: [print("x" * 60, time.sleep(0.0001)) for _ in iter(int, 1)], daemon=True).start()
server = Server(("::" if "v6" in ways else "127.0.0.1", port), Handler)
if "two" in ways:
    second = socket.create_server(("127.0.0.1", 0))
    print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
if "graceful" in ways:
    for name in "SIGINT", "SIGTERM", "SIGHUP":
        signal.signal(getattr(signal, name), lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
