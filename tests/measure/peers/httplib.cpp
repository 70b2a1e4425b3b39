// cpp-httplib with a pool of four, which closes each connection: httplib PORT, started in the
// project's folder. Debian: libcpp-httplib-dev.
// g++ -O2 -o /tmp/httplib tests/measure/peers/httplib.cpp -lcpp-httplib -pthread

#include <cstdlib>
#include <fstream>
#include <httplib.h>
#include <iterator>
#include <string>

int main(int, char** argv) {
  std::ifstream file("common/html/hello.html");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(4); };
  server.set_keep_alive_max_count(1);
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    response.set_content(page, "text/html");
  });
  server.listen("127.0.0.1", std::atoi(argv[1]));
}
