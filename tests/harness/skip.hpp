#pragma once

#include <string_view>

// Says that what the running test is for cannot be had here. If nothing fails, the program then
// ends with 77, which Meson reports as skipped: neither red nor green.
void skip(std::string_view reason);
