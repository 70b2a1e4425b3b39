#pragma once

#include "module.hpp"
#include "world.hpp"

#include <string>
#include <vector>

// What happened in a run, so that it can be read: one column a thread, one line a step, each with
// its place in the source.
namespace explore {

struct Place {
  std::string file;  // without its folders; empty if it is not in the program's own source
  int line = 0;
  std::string text;  // of the line
};

struct Line {
  std::size_t thread;
  std::string what;  // "lock"
  Place place;
  const void* object = nullptr;  // that it touches
  int times = 1;                 // one after the other
};

struct Ending {
  std::string thread;
  std::string state;  // "waits for state_->changed, and holds no lock"
  Place place;
};

struct Story {
  std::vector<std::string> threads;
  std::vector<Line> lines;
  std::vector<Ending> endings;
  std::string sentence;  // what went wrong
};

// Of the run that `world` has just made, while telling.
Story tell(const Module& module);

// 80 columns wide, or 110 with more than three threads. Only the steps, from line `first` on:
std::string steps_as_text(const Story& story, std::size_t first = 0);
std::string as_text(const Story& story);
std::string as_svg(const Story& story);

}  // namespace explore
