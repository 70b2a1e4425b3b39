// Ten ways to die, by number.

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include <sys/socket.h>
#include <unistd.h>

struct Node {
  std::string name;
  Node* next = nullptr;
};

void visit(Node* node) { node->next->name = "x"; }

void job() { throw std::runtime_error("no such file"); }

void give_back(std::unique_ptr<int>& memory) {
  const std::unique_ptr<int> twice(memory.get());
  memory.reset();
}

void answer(int client) {
  if (::send(client, "x", 1, 0) == -1) std::abort();
}

void free(int) { std::abort(); }  // one of ours

void stop() noexcept { job(); }

void fill() {
  volatile char buffer[64 << 20];
  buffer[0] = 1;
}

int recurse(int n) { return n == 0 ? 1 : recurse(n + 1) + 1; }

int main(int argc, char** argv) {
  const int way = argc > 1 ? std::atoi(argv[1]) : 0;
  if (way == 1) const std::thread never_joined([] {});
  if (way == 2) visit(std::make_unique<Node>().get());
  if (way == 3) std::thread(job).join();
  if (way == 4) {
    std::unique_ptr<int> memory = std::make_unique<int>(1);
    give_back(memory);
  }
  if (way == 5) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1 || ::close(ends[1]) == -1) return 1;
    answer(ends[0]);
  }
  if (way == 7) free(7);
  if (way == 8) stop();
  if (way == 9) fill();
  if (way == 10) visit(reinterpret_cast<Node*>(0x4141414141414141));
  return way == 6 ? recurse(argc) : 0;
}
