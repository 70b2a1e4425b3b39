#pragma once

#include <string>
#include <system_error>
#include <thread>
#include <utility>

// Starts a std::thread, which gdb, htop and ps -L know by the first 15 characters of `name`. Throws
// std::system_error, which says what could not be started: "cannot start worker 3: Resource
// temporarily unavailable".
template <typename... Call>
std::thread start_thread(const std::string& name, Call&&... call) try {
  std::thread thread(std::forward<Call>(call)...);
#ifdef __linux__
  ::pthread_setname_np(thread.native_handle(), name.substr(0, 15).c_str());
#endif
  return thread;
} catch (const std::system_error& error) {
  throw std::system_error(error.code(), "cannot start " + name);
}
