#pragma once

#include <string>
#include <string_view>

// What the figures have in common.

// A document of that size up to its content: `title` and `description` are for who hears it.
std::string svg_begin(int width, int height, std::string_view title, std::string_view description);

// Behind all the rest; its colour is that of the class paper.
std::string svg_paper();

// `attributes` begin with a space.
std::string svg_text(int x, int y, std::string_view attributes, std::string_view text);
