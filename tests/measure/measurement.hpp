#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

// Figures that were measured, and how they are told.

// Of several rounds: machines are noisy, and a mean would take that for the truth.
struct Spread {
  double lowest = 0;
  double median = 0;
  double highest = 0;
};

// Throws std::invalid_argument if there are no values.
Spread spread(std::vector<double> values);

// One quantity of several subjects, a few times over.
struct Series {
  std::string name;
  int decimals = 0;
  std::vector<std::vector<double>> rounds;  // a value for each subject

  double median(std::size_t subject) const;
  // To the first subject's: taken within each round, since what else the machine does then slows
  // both. Without the rounds in which that was 0; all NaN if none is left.
  Spread ratio(std::size_t subject) const;
};

// How something grows with the number of clients.
struct Growth {
  std::string name;
  int decimals = 0;
  std::vector<int> clients;
  std::vector<Series> at;  // for each number of clients
};

// A table of `columns` subjects: for each series the medians, and the ratios with their spread.
std::string text_table(const std::vector<std::string>& columns, const std::vector<Series>& rows);

// A table a quantity: a row for each number of clients, and what the last step multiplies.
std::string text_growth(const std::vector<std::string>& columns, const Growth& growth);
