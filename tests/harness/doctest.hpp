#pragma once

#if __has_include(<doctest/doctest.h>)
#include <doctest/doctest.h>  // a package's
#else
#include <doctest.h>  // the wrap's
#endif
