// g++ -std=c++20 server.cpp; server PORT SLEEP_MS WAY: an event loop in one thread, on raw calls.
// Ways: eintr, it takes a poll() that a signal has interrupted for one that found something; fixed,
// it does not; limits, it counts on being told by its limits when it is judged; fork, a process for
// each client; hang, it takes everybody and answers nobody, and no signal ends it.

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <list>
#include <string>
#include <time.h>

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

volatile sig_atomic_t stopped = 0;

long now_ms() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

struct Client {
  int fd;
  long due = -1;  // when the answer goes out; -1: there is no request yet
  std::string request{};
};

void answer(const Client& client) {
  const std::string path = client.request.substr(0, client.request.find(' ', 4));
  const bool found = path == "GET /" || path == "GET /sleep";
  const std::string body = found ? "<h1>Hello!</h1>" : "<h1>Oops!</h1>";
  const std::string text = std::string("HTTP/1.1 ") + (found ? "200 OK" : "404 Not Found") +
                           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  send(client.fd, text.data(), text.size(), MSG_NOSIGNAL);
}

// A process of its own for each, that ends with the client.
void serve_in_child(int fd, long sleep) {
  if (fork() != 0) return;
  Client client{fd};
  char part[4096];
  while (client.request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t size = recv(fd, part, sizeof part, 0);
    if (size <= 0) _exit(0);
    client.request.append(part, size);
  }
  if (client.request.starts_with("GET /sleep")) usleep(sleep * 1000);
  answer(client);
  _exit(0);
}

int main(int, char** argv) {
  const long sleep = atol(argv[2]);
  const std::string way = argv[3];
  struct sigaction action{};
  action.sa_handler = [](int) { stopped = 1; };
  if (way == "hang") action.sa_handler = SIG_IGN;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
  if (way == "fork") signal(SIGCHLD, SIG_IGN);
  rlimit descriptors{};
  getrlimit(RLIMIT_NOFILE, &descriptors);
  const std::size_t most = way == "limits" && descriptors.rlim_cur < 64 ? 15 : 100000;

  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(atoi(argv[1]));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == -1 ||
      listen(listener, 4096) == -1) {
    perror("cannot listen");
    return 1;
  }

  std::list<Client> clients;
  while (!stopped || !clients.empty()) {
    pollfd waits[4096];
    nfds_t count = 0;
    const bool accepts = !stopped && clients.size() < most;
    if (accepts) waits[count++] = {listener, POLLIN, POLLIN};
    for (const Client& client : clients) waits[count++] = {client.fd, POLLIN, 0};
    const int ready = poll(waits, count, clients.empty() ? 1000 : 5);
    if (ready == -1 && way != "eintr") continue;
    if (ready == -1) waits[0].revents = POLLIN;  // as what was there before the call might say
    const pollfd* wait = waits;
    if (accepts && (wait++)->revents != 0) {
      const int fd = accept(listener, nullptr, nullptr);
      if (fd != -1 && way == "fork") serve_in_child(fd, sleep);
      if (fd != -1 && way == "fork") close(fd);
      if (fd != -1 && way != "fork") clients.push_back({fd});
    }
    for (auto client = clients.begin(); client != clients.end() && wait < waits + count; ++wait) {
      char part[4096];
      bool over = false;
      if (wait->revents != 0 && client->due == -1) {
        const ssize_t size = recv(client->fd, part, sizeof part, MSG_DONTWAIT);
        if (size > 0) client->request.append(part, size);
        over = size == 0;
        const bool whole = client->request.find("\r\n\r\n") != std::string::npos;
        const bool slow = client->request.starts_with("GET /sleep");
        if (whole && way != "hang") client->due = now_ms() + (slow ? sleep : 0);
      }
      if (client->due != -1 && now_ms() >= client->due) {
        answer(*client);
        over = true;
      }
      if (over) close(client->fd);
      client = over ? clients.erase(client) : std::next(client);
    }
    if (stopped) clients.remove_if([](const Client& c) { return c.due == -1 && close(c.fd) == 0; });
  }
  if (way == "fork") wait(nullptr);
  return 0;
}
