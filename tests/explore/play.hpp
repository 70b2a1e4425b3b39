#pragma once

#include "module.hpp"
#include "world.hpp"

#include <functional>
#include <string>

namespace explore {

// The person at the terminal is the scheduler: picks who does the next step, and takes steps back.
void play(const Module& module, const std::string& title, const std::function<void(Decider&)>& run);

}  // namespace explore
