#pragma once

#include <string_view>

// Everything that a server is judged by, on one page, for the person who writes one.
constexpr std::string_view contract_text =
    R"(The contract: what promises starts, what it sends, and what it expects

It starts the server as often as needed, up to 8 at a time, each in its own
process group, and reads stdout and stderr all the time. It fills in these words
of the command, and leaves out a flag whose value a run does not need:
  {port}     0, which means any free port: the kernel reports which one. In
             promise 7 a second server is given the port of the first
  {sleep}    how long /sleep takes, in ms
  {workers}  how many requests it serves at a time: 4, or what --workers says,
             or 3 to 6 with --seed
  {take}     stop after so many connections
  {grace}    the longest a shutdown may take, in ms
  {html}     a folder with the pages, hello.html and 404.html
Without {port}, one server runs at a time (except in promise 7), on the port
that --port names.
Without {sleep}, its /sleep takes what --sleep says. 1 s is best: with less,
some promises cannot be judged; with more, up to 4 s, time may run out first.
Without {take}, promise 12 is not judged. Without {grace}, promise 9 is broken
if the signal itself ends the server, and is not judged otherwise.

The server listens on 127.0.0.1 within 10 s, on that address or on one that
includes it (0.0.0.0, [::]). It may listen in a process that it starts, but not
as a daemon. Signals go to the process that listens (the oldest, if several do);
the exit status is that of the command.

  GET /        200 and a page that says Hello! (or hello.html of {html})
  GET /sleep   the same, a while later
  other paths  404 and a page that says Oops! (or 404.html)
  HEAD         the same without the page
  no Host      400, in HTTP/1.1
  a head of 9 KiB, a body of 1 MiB, bytes that are no request: 400, 404, 405,
               408, 411, 413, 414, 431, 501 or 505; 200 as well if it is a
               request. A client that sends part of a request and then a FIN may
               also be closed without an answer
An answer is any that RFC 9112 allows, HTTP/1.0 or 1.1. It is complete, and no
reset comes with it or after it: that could destroy what is still in flight.
Each request says Connection: close. If the server keeps the connection open, a
note says so, and the server is judged nevertheless. A request may come in
pieces, and surplus bytes or a FIN may follow it; the case of field names
varies. A client that has its answer closes the connection; in a storm it resets
it.

What is judged. "Stopped" means SIGTERM; the exit status must then be 0.
   1  66 conversations of the kinds above
   2  a fast request is answered before an earlier /sleep, and within 3 s
      despite a silent client
   3  200 clients, or two per worker if that is more, ask for /sleep: there are
      fewer threads and processes, together, than workers plus half as many as
      clients; after up to 3,000 requests it serves as many /sleep at a time as
      before
   4  stopped, or by SIGINT, with one /sleep per worker in progress: each is
      answered
   5  the same by SIGINT, with six more waiting
   6  SIGSTOP, 50 clients, stopped, SIGCONT: each client whose connection the
      kernel had completed is answered
   7  stopped with a /sleep in progress: within 3 s new clients are refused,
      each within 0.8 s, and a new server can have the port and answers on it;
      the /sleep is answered
   8  stopped with 100 silent clients, and 5 that send a byte at a time: it ends
      within 4 s
   9  with {grace}: a stop that would take longer ends after that time, and
      within 3 s of it, with a line on stderr and an exit status other than 0
  10  SIGINT closes its port within 3 s, and a second one, 0.5 s later, ends it
      within 3 s, with 130 or by the signal. But after SIGTERM, no SIGHUP,
      SIGTERM or first SIGINT cuts off a /sleep; nor do two SIGINTs that come
      together
  11  SIGINT, SIGTERM or SIGHUP, up to 3 ms after the checker has seen it
      listen, even if they were blocked when it was started: exit 0 within 3 s
  12  with {take}: so many are answered, and the next is refused within 3 s; if
      one of them is silent, it ends within 4 s of the last answer
  13  clients that reset during /sleep: one more client per worker is answered
      afterwards
  14  60 clients, and descriptors for 16: it lives, uses less than 0.15 s of CPU
      time in a second, and answers within 3 s once they have gone; stopped with
      16 clients, it answers five more, and ends within 4 s of that. Not judged
      if those cannot connect, or if it accepts one client at a time
  15  stopped as process 1 of a PID namespace with a /sleep in progress: the
      /sleep is answered
  16  stopped after 50 to 250 answers to 16 clients, 5 to 60 times: each client
      that was connected, if only by the kernel and during the stop, is answered
  17  one /sleep per worker: a fast request is answered before them
A request is in progress once it has been read and until it is answered. A
/sleep that does not sleep breaks each promise that is judged by it. Anything
wrong that no promise covers is reported in a line before the verdicts (a note
in JSON). At the end, "Behaves like stage 3" names the one of the workbook's
four servers whose verdicts are most like these.

Unless stated otherwise, an answer has 5 s or more, beyond each /sleep that it
may have to wait for, and so has an exit. A promise has 20 s from when its
servers have started; all promises together have 60 s (--time-limit), times
--repeat. After two promises in which no client received a single byte, each of
the rest has 1 s. A promise for which there was no time is not judged. Nor is
one that the checker itself could not carry out; its exit status is then 2.
The checker reads what a server writes, and keeps 1 MiB of it. The server may
write files of up to 64 MiB, and be up to 1,000 processes. At the end the
checker kills its process group and whatever else it leaves behind, and counts
the latter.

With --seed, times, counts, the number of workers, orders, the case of field
names, the paths of missing pages and, with {html}, the words on the pages
differ from seed to seed.
)";
