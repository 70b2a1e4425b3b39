#pragma once

#include <chrono>
#include <cstddef>

// How many jobs a second, of `jobs` that keep a processor busy for `each`. Compiled as the stages
// are, unlike the rest of these tools: here it is this code that is measured.

// Made and called one after the other.
double loop_rate(std::size_t jobs, std::chrono::microseconds each);

// Given to stage 4's pool of four by that many threads, until the last is done.
double pool_rate(std::size_t jobs, std::chrono::microseconds each, std::size_t producers);
