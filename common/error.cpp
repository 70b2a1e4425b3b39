#include "error.hpp"

#include <cerrno>
#include <string>
#include <system_error>

void throw_errno(std::initializer_list<std::string_view> doing) {
  const int error = errno;
  std::string text;
  for (const std::string_view part : doing)
    text += part;
  throw std::system_error(error, std::generic_category(), text);
}
