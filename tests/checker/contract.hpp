#pragma once

#include <string_view>

// What a server is judged by, for whoever writes one: all of it, on one page.
constexpr std::string_view contract_text =
    R"(The contract: what promises starts, what it sends, and what it wants to see

Started as often as needed, up to 8 servers at a time, each in a process group
of its own, with stdout and stderr read all the time. In the command these are
filled in; a flag whose value a run does not need is left out with it.
  {port}     0, which is any free port: the kernel tells which. In promise 7 a
             second server is given the port of the first
  {sleep}    how long /sleep takes, in ms
  {workers}  how many requests it serves at once: 4, or what --workers says, or
             with --seed 3 to 6
  {take}     stop by itself after so many connections
  {grace}    how long a stop may take, in ms
  {html}     a folder with the pages, hello.html and 404.html
Without {port} it is started once at a time (but for promise 7), and listens on
the port of --port.
Without {sleep} its /sleep takes what --sleep says. 1 s is best: with less some
promises cannot be judged, with more, up to 4 s, the time may be over first.
Without {take}, 12 is not judged; without {grace}, 9 is broken if the signal
itself ends the server, and otherwise not judged.

It listens on 127.0.0.1 within 10 s, on that address or on one that includes it
(0.0.0.0, [::]); itself or by a process that it starts, but not as a daemon.
Signals go to the process that listens (of several the one that was first), the
exit status is that of the command.

  GET /        200 and a page that says Hello! (or hello.html of {html})
  GET /sleep   the same, a while later
  others       404 and a page that says Oops! (or 404.html)
  HEAD         the same without the page
  no Host      400 to HTTP/1.1
  a head of 9 KiB, a body of 1 MiB, what is no request: 400, 404, 405, 408, 411,
               413, 414, 431, 501 or 505; where it is a request, also 200. Who
               sends no whole request, and then ends, may also be closed without
               an answer
An answer is any that RFC 9112 allows, of HTTP/1.0 or 1.1, whole, and not reset:
not afterwards either, since a reset destroys what is still on its way. What is
a request says Connection: close; a server that keeps the connection open is
told so, and judged all the same. A request may come in pieces, be followed by
bytes nobody asked for or by the end of the client's side; the names of fields
come in any case. Who has an answer closes, or resets where there are many.

What is judged, by number; "stopped" is SIGTERM, and then the exit status is 0:
   1  66 conversations as above
   2  a fast request is answered before an earlier /sleep, and within 3 s beside
      a silent client
   3  200 clients, or twice as many as workers, with a /sleep each cost fewer
      threads and processes, together, than workers + half of that; after up to
      3,000 requests it serves as many /sleep at a time as before
   4  stopped, or by SIGINT, with as many /sleep in work as it has workers: each
      is answered
   5  the same by SIGINT, with six more that wait
   6  SIGSTOP, 50 clients, stopped, SIGCONT: each is answered whose connection
      the kernel had completed
   7  stopped with a /sleep in work: within 3 s new clients are refused, each
      within 0.8 s, and a new server can have the port and answers on it; the
      /sleep is answered
   8  stopped with 100 silent clients, and 5 that send a byte at a time: 4 s
   9  with {grace}: a stop that would take longer ends after that time, and
      within 3 s, with a word on stderr and another status than 0
  10  SIGINT closes its port within 3 s, and a second one, 0.5 s later, ends it
      within 3 s, with 130 or by the signal; but after SIGTERM no SIGHUP,
      SIGTERM or first SIGINT cuts a /sleep, nor does SIGINT twice at once
  11  SIGINT, SIGTERM or SIGHUP, up to 3 ms after the checker has seen it
      listen, also if they were blocked when it was started: exit 0 within 3 s
  12  with {take}: so many are answered, and the next is refused within 3 s; if
      one of them is silent, it ends within 4 s of the last answer
  13  clients that reset while /sleep sleeps: as many others as it has workers
      are answered afterwards
  14  60 clients, and descriptors for 16: it lives, takes less than 0.15 s of
      processor time in a second, and answers within 3 s once they are gone;
      stopped with 16 clients, it answers five more, and ends within 4 s of
      that. Not judged where these are not let in, or only one client is
  15  stopped as process 1 of a PID namespace, with a /sleep in work: answered
  16  stopped after 50 to 250 answers to 16 clients, 5 to 60 times: who was
      connected, if only by the kernel and during the stop, is answered
  17  as many /sleep as it has workers: a fast request is answered before them
In work is a request that was read and is not yet answered. A /sleep that does
not sleep breaks what is judged by it. What is not as it should be, and judged
by no promise, is told in a line before the verdicts (in JSON a note). At the
end, "Behaves like stage 3" names the one of the workbook's four servers whose
verdicts are most like these.

Where nothing else is said, an answer has 5 s or more beyond each /sleep that it
may have to wait for, and an exit has 5 s. A promise has 20 s, from when its
servers have started, and all of them have 60 s (--time-limit), with --repeat as
often as that. After two promises in which nobody had a single byte, those not
yet begun have 1 s each. What there was no time for is not judged. Nor is what
the checker could not do; then its exit status is 2.
What a server writes is read, and 1 MiB of it kept; a file of it may have
64 MiB. It may be 1,000 processes. Its process group ends with it; whatever
else it leaves behind is ended, and counted.

With --seed, times, counts, workers, orders, the case of fields, the pages that
are not there and, with {html}, the words on the pages differ from run to run.
)";
