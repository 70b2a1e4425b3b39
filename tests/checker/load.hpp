#pragma once

#include "tests/harness/client.hpp"
#include "tests/harness/server.hpp"

#include <cstddef>
#include <string>

// What became of the connections that were made, and of the attempts that were not refused at once.
struct LoadResult {
  std::size_t answered = 0;   // in full
  std::size_t reset = 0;      // connected, and then not that: reset,
  std::size_t cut = 0;        // ended early or with something else,
  std::size_t silent = 0;     // or left without an end
  std::size_t undecided = 0;  // neither connected nor refused
  std::size_t late = 0;       // refused a second later: the first packet was dropped

  void count(const Answer& answer);
  LoadResult& operator+=(const LoadResult& other);

  std::size_t lost() const { return reset + cut + silent; }
  bool is_clean() const { return lost() + undecided == 0; }
  // "1 lost of 1,043 connections (1 reset, 0 cut, 0 silent), 0 undecided, 0 refused late"
  std::string text() const;
};

// Keeps that many clients busy, one with "GET /sleep", the others with "GET /", a connection each
// time, until all are refused. After `target` answers it sends SIGTERM.
LoadResult stop_under_load(const Server& server, std::size_t clients, std::size_t target);
