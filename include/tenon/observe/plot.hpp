#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tenon/observe/format.hpp"

namespace tenon::observe {

/// A curve as text: `value(step)` for step 0 to steps - 1, `width` columns by `height` rows of stars, with the largest
/// and smallest value at the left and the steps below. Each column shows the range of up to 16 samples in it.
template <class F>
std::string plot(F value, std::int64_t steps, int width = 60, int height = 8) {
  if (steps < 1 || width < 1 || height < 2) return "";
  struct range {
    double low = std::numeric_limits<double>::infinity(), high = -low;
  };
  std::vector<range> columns(static_cast<std::size_t>(width));
  range all;
  for (std::int64_t c = 0; c < width; ++c) {
    auto const at = [&](std::int64_t part) {  // step at `part` sixteenths of this column, without overflow
      double const end = static_cast<double>(steps);
      double const place = (static_cast<double>(c) + static_cast<double>(part) / 15) / width * end;
      return place < end ? std::min(steps - 1, static_cast<std::int64_t>(place)) : steps - 1;
    };
    auto& column = columns[static_cast<std::size_t>(c)];
    for (std::int64_t part = 0; part < 16; ++part) {
      double const y = value(at(part));
      if (!std::isfinite(y)) continue;
      column.low = std::min(column.low, y), column.high = std::max(column.high, y);
      all.low = std::min(all.low, y), all.high = std::max(all.high, y);
    }
  }
  if (!(all.low <= all.high)) return "";
  if (all.low > 0 && all.low < all.high) all.low = 0;  // rates and scales are read against zero
  double const span = all.high > all.low ? all.high - all.low : 1;
  auto const row_of = [&](double y) { return static_cast<int>(std::lround((y - all.low) / span * (height - 1))); };
  std::string const top = scientific(all.high, 2), bottom = scientific(all.low, 2);
  std::size_t const margin = std::max(top.size(), bottom.size());
  std::string out;
  for (int row = height - 1; row >= 0; --row) {
    std::string const label = row == height - 1 ? top : row == 0 ? bottom : "";
    std::string line = std::string(margin - label.size(), ' ') + label + " |";
    for (auto const& column : columns)
      line += column.low <= column.high && row >= row_of(column.low) && row <= row_of(column.high) ? '*' : ' ';
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  std::string const right = grouped(steps) + " steps";
  out += std::string(margin, ' ') + " +" + std::string(static_cast<std::size_t>(width), '-') + "\n";
  std::size_t const gap =
      static_cast<std::size_t>(width) > right.size() + 1 ? static_cast<std::size_t>(width) - right.size() - 1 : 1;
  return out + std::string(margin + 2, ' ') + "0" + std::string(gap, ' ') + right + "\n";
}

}  // namespace tenon::observe
