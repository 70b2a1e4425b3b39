#pragma once

#include "picture.hpp"

#include <string>

// The recording as a film for asciinema (asciicast v2): what a terminal of `size` would have shown,
// in the last five minutes of it.
std::string asciicast(const Recording& recording, const Size& size);

// Throws std::runtime_error.
void write_file(const std::string& name, const std::string& text);
std::string read_file(const std::string& name);
