#pragma once
#include <string_view>

namespace tenon::app {

/// Where a program's recipe was written, and the target that stands in for the recipe's (empty: none does).
struct recipe_source {
  std::string_view header, symbol, on;
};

}  // namespace tenon::app
