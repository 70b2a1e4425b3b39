#pragma once

#include "judging.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

// How verdicts are told.

struct Style {
  bool brief = false;     // only what is not as it should be
  bool evidence = false;  // of each verdict in the matrix
};

// All runs of one promise by one server, as one: broken if one of them is.
struct Verdicts {
  const Task* task = nullptr;  // of the worst run
  std::size_t kept = 0;
  std::size_t runs = 0;

  bool are_as_expected = true;
  bool any_ours = false;  // something of ours was short, in one of them
};
Verdicts summed_up(std::span<const Task> runs);

// One line of JSON.
void print_json(const Verdicts& verdicts);
void print_json_sum(std::span<const Verdicts> all, const Course& course, unsigned seed);

// The four stages, a row a promise: the header, a row, and the end.
void print_matrix_header();
void print_matrix_row(std::span<const Verdicts> stages, const Style& style);
void print_matrix_sum(std::span<const Verdicts> all, const Style& style);

// One server, an entry a promise.
void print_list_header(const Task& task);
void print_list_entry(const Verdicts& verdicts, const Style& style);
void print_list_sum(std::span<const Verdicts> all, bool all_promises);

// What belongs to either: who interrupted, what was left behind, and the seed that repeats it.
void print_course(const Course& course, unsigned seed);
