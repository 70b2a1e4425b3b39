#pragma once

#include <functional>

namespace explore {

// From here on a crash, an exception that nobody catches, and a run that does not come to its next
// step end the run, or the explorer, with words. What the program does otherwise is the World's.
void watch_for_faults();

// What is left to do if it ends the explorer.
void at_end_of_watch(std::function<void()> action);

// A new run, so it is not one that hangs.
void begin_watch();

}  // namespace explore
