#pragma once

#include "failures.hpp"

#include <set>
#include <string>
#include <vector>

// In the real kernel, with a library preloaded into the stage: each N-th allocation, and one error
// of each other call. Which thread makes the N-th call may differ from run to run.
namespace failures {

// Throws std::runtime_error if the server does not stop as it should although nothing fails.
std::vector<Point> real_points(int stage);
Verdict try_real(int stage, const Point& point);

// The system calls of one run, by strace(1). Throws std::runtime_error where that is not to be had.
std::set<std::string> traced(int stage);

}  // namespace failures
