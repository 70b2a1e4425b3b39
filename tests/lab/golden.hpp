#pragma once

#include "tests/harness/doctest.hpp"

#include <fstream>
#include <iterator>
#include <string>

inline std::string read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The picture that somebody has looked at and found good. Another one is left where the test runs,
// to be looked at, too.
inline void check_golden(const std::string& name, const std::string& picture) {
  const bool same = read_file(SOURCE "/tests/lab/golden/" + name) == picture;
  CHECK_MESSAGE(same, "./", name, " is not the picture in tests/golden");
  if (!same) std::ofstream(name, std::ios::binary) << picture;
}
