#pragma once

namespace explore {

// From here on a crash, an exception that nobody catches, and a run that does not come to its next
// step end the run, or the explorer, with words. What the program does otherwise is the World's.
void watch_for_faults();

// A new run, so it is not one that hangs.
void begin_watch();

}  // namespace explore
