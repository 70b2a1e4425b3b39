// What most files of the tests include, compiled once for all of them (tests/meson.build). Each
// file still includes what it needs.
#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iostream>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>
