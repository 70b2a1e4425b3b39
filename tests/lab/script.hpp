#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

// The keys of the lab, as they are pressed and as a script spells them.

struct Key {
  std::string_view word;     // "c", "^C", "space"
  std::string_view meaning;  // for whoever presses ?
};

std::span<const Key> keys();

// The key behind a byte that a terminal sends: "^C" for 3, "space" for ' ', "Esc" for 27.
std::string key_of(char byte);

// Is it the word of a key? "w=detach" is.
bool is_key(std::string_view word);

// A script: which stages are on stage first, two at most, what it shows, and the keys. A line that
// begins with # is for the reader; the first one is its title.
struct Script {
  std::string title;
  std::vector<int> stages;
  std::vector<std::string> keys;
};
Script parse_script(std::string_view text);
