#pragma once

#include <initializer_list>
#include <string_view>

// Throws std::system_error with the errno of the call that has just failed, and with what was being
// done: throw_errno({"cannot read ", path}). Takes parts, because to join them first could change
// errno: C lets any call do that, also one that succeeds (C17 §7.5).
[[noreturn]] void throw_errno(std::initializer_list<std::string_view> doing);
