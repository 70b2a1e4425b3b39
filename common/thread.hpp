#pragma once

#include <string>
#include <system_error>
#include <thread>
#include <utility>

// Starts a std::thread. Throws a std::system_error that names what could not be started: "cannot
// start worker 3: Resource temporarily unavailable".
template <typename... Call>
std::thread start_thread(const std::string& name, Call&&... call) {
  try {
    return std::thread(std::forward<Call>(call)...);
  } catch (const std::system_error& error) {
    throw std::system_error(error.code(), "cannot start " + name);
  }
}
