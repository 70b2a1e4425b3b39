#pragma once

#include "failures.hpp"
#include "tests/explore/module.hpp"

// In the simulated kernel of explore/, where each point is exact: the stop comes in the middle of
// the clients, and again at every position.
namespace failures {

// If it is to be quick, only the former, of one script, and of each call the usual error and
// ENOMEM.
std::vector<Point> simulated_points(const explore::Module& module, bool quick);
Verdict try_simulated(const explore::Module& module, const Point& point, bool quick);
// The first run that breaks something, or that meets the failure, step by step.
std::string tell_simulated(const explore::Module& module, const Point& point);

}  // namespace failures
