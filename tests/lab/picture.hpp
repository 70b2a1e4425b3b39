#pragma once

#include "recording.hpp"

#include <cstddef>
#include <string>

// Pictures of a recording: the same recording, the same picture.

// For a terminal of `width` columns (at least 60), plain ASCII; `colour` adds escape sequences.
std::string draw_text(const Recording& recording, std::size_t width, bool colour);

// A figure for slides and notes: readable in light and dark mode, and without colour.
std::string draw_svg(const Recording& recording);
