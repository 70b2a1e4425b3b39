#pragma once

#include <dlfcn.h>

// The function of the C library that ours stands in front of.
template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
