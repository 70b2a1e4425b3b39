"""Python's http.server, in four dialects of HTTP, and in other ways to be a server.

server.py PORT SLEEP_MS DIALECT [WAY...]: 1.0, as it comes; 1.1, with a length; lower, the same in lower case; chunked.
Ways: v6, on [::]; graceful, it ends when all are served; one, one client at a time; awake, /sleep does not sleep;
late, it starts to listen after 5 s; daemon, in the background; chatty, 10,000 lines a second; two, on a second port;
linger, it closes only after its client; litter, with five children in sessions of their own; pool, four threads;
early, it sends a 103 and its head before /sleep sleeps; --take N, it ends after so many clients.
Faults: pieces, it wants a request in one; fragile, it ends of what is no request; generous, it takes one client more;
waits, for each client's first byte; tires, after 500 requests it serves one at a time; dies, then it serves no /sleep;
only-int, it knows no other signal; owner, of its port as long as a client is there; impatient, any second signal ends
it; pipe, SIGPIPE does; and without descriptors, gives-up, for ever, or naps, for a moment.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

port, sleep_ms, dialect, ways = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
take = int(ways[ways.index("--take") + 1]) if "--take" in ways else 0
pool = ThreadPoolExecutor(4)
one_at_a_time = threading.Lock()
requests = []
signals = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0" if dialect == "1.0" else "HTTP/1.1"

    def sleep(self):
        if self.path != "/sleep" or "awake" in ways:
            return
        if "dies" in ways and len(requests) > 500:
            time.sleep(1000)
        with one_at_a_time if "tires" in ways and len(requests) > 500 else nullcontext():
            time.sleep(sleep_ms / 1000)

    def do_GET(self):
        requests.append(self.path)
        if "early" in ways:
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        else:
            self.sleep()
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
        if "early" in ways:
            self.sleep()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET

    def send_error(self, *arguments):
        if "fragile" in ways:
            os._exit(3)
        super().send_error(*arguments)

    def log_message(self, *_):
        pass


class Server(HTTPServer if "one" in ways else ThreadingHTTPServer):
    address_family = socket.AF_INET6 if "v6" in ways else socket.AF_INET
    request_queue_size = 128
    daemon_threads = False  # so that server_close() waits for them
    allow_reuse_address = "owner" not in ways
    taken = 0

    def verify_request(self, request, address):
        return "pieces" not in ways or b"\r\n\r\n" in request.recv(9999, socket.MSG_PEEK)

    def get_request(self):
        try:
            request, address = super().get_request()
        except OSError:
            time.sleep(1000 if "gives-up" in ways else 0.1 if "naps" in ways else 0)
            raise
        self.taken += 1
        if take and self.taken == take + ("generous" in ways):
            threading.Thread(target=self.shutdown).start()
        if "waits" in ways:
            request.recv(1, socket.MSG_PEEK)
        return request, address

    def process_request(self, request, address):
        if "pool" in ways:
            pool.submit(self.process_request_thread, request, address)
        else:
            super().process_request(request, address)

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


def stop(number, _):
    signals.append(number)
    if "impatient" in ways and len(signals) > 1:
        os._exit(130)
    threading.Thread(target=server.shutdown).start()


if "graceful" in ways:
    for name in ["SIGINT"] if "only-int" in ways else ["SIGINT", "SIGTERM", "SIGHUP"]:
        signal.signal(getattr(signal, name), stop)
if "pipe" in ways:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
server.serve_forever()
server.server_close()
