#include "startup.hpp"

#include "descriptor.hpp"
#include "log.hpp"

#include <csignal>

#include <fcntl.h>
#include <unistd.h>

void prepare_process() {
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    if (std::signal(signal, SIG_IGN) == SIG_ERR) throw_errno({"cannot ignore a signal"});
  }
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // open(2) returns the lowest free number, which is this one. Read-only, so that writing to a
    // stdout that was closed is still an error.
    const bool closed = ::fcntl(fd, F_GETFD) == -1;
    if (closed && ::open("/dev/null", O_RDONLY) != fd) throw_errno({"cannot open /dev/null"});
  }
  prepare_log();
}
