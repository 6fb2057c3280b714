#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"
#include "tenon/recipe/horizon.hpp"

namespace tenon::curriculum {

/// Every document from the first step to the last.
struct none {
  using axis = tenon::axis::curriculum;
  static constexpr std::string_view kind = "none";
  static constexpr std::string_view read_by = "app::plan_of";
};

/// Where a document's difficulty comes from. Both are turned into a rank in [0, 1] over the training split.
enum class difficulty {
  length,  ///< its length in tokens
  field    ///< a number in its JSONL record, named by stages::field
};

/// One part of a curriculum: from the end of the stage before it up to `until`, documents of difficulty [low, high].
struct stage {
  point_of_run until{};  ///< where the stage ends, in epochs or steps from the start of the run; required
  double low = 0;        ///< easiest document, in [0, 1]
  double high = 1;       ///< hardest document, in [0, 1]
  friend constexpr bool operator==(stage const&, stage const&) = default;
};

/// Stages in the order in which they are run; the last one must reach the horizon. Made by by_length or by_field.
template <std::size_t N>
struct stages {
  using axis = tenon::axis::curriculum;
  static constexpr std::string_view kind = "stages";
  static constexpr std::string_view read_by = "app::plan_of";
  static constexpr std::size_t size = N;

  std::array<stage, N> list{};            ///< the stages
  difficulty by = difficulty::length;     ///< what orders documents
  std::string_view field = "difficulty";  ///< JSONL field, read only with difficulty::field
};

/// Stages by document length: by_length({{.until = 5_epochs, .high = 0.3}, {.until = 20_epochs, .low = 0.3}}).
template <std::size_t N>
constexpr stages<N> by_length(stage const (&list)[N]) {
  stages<N> s{};
  for (std::size_t i = 0; i < N; ++i) s.list[i] = list[i];
  return s;
}

/// Stages by a number in each JSONL record: by_field("difficulty", {{.until = 5_epochs, .high = 0.3}, ...}).
template <std::size_t N>
constexpr stages<N> by_field(std::string_view field, stage const (&list)[N]) {
  stages<N> s = by_length(list);
  s.by = difficulty::field;
  s.field = field;
  return s;
}

template <class Curriculum>
inline constexpr bool has_stages = false;
template <std::size_t N>
inline constexpr bool has_stages<stages<N>> = true;

/// Index of the first stage that ends no later than the one before it (the first: no later than 0) or in another unit;
/// -1 if none.
template <std::size_t N>
constexpr int first_out_of_order(stages<N> const& s) {
  for (std::size_t i = 0; i < N; ++i) {
    auto const before = i == 0 ? 0 : s.list[i - 1].until.count;
    if (s.list[i].until.count <= before || s.list[i].until.in != s.list[0].until.in) return static_cast<int>(i);
  }
  return -1;
}

/// Index of the first stage without 0 <= low < high <= 1; -1 if none.
template <std::size_t N>
constexpr int first_out_of_range(stages<N> const& s) {
  for (std::size_t i = 0; i < N; ++i)
    if (!(s.list[i].low >= 0 && s.list[i].low < s.list[i].high && s.list[i].high <= 1)) return static_cast<int>(i);
  return -1;
}

/// The lowest difficulty from which on documents belong to no stage; 1 if there is no gap.
template <std::size_t N>
constexpr double first_gap(stages<N> const& s) {
  double reached = 0;
  for (bool grew = true; grew && reached < 1;) {
    grew = false;
    for (auto const& one : s.list)
      if (one.low <= reached && one.high > reached) reached = one.high, grew = true;
  }
  return reached;
}

/// Whether the last stage ends where the run ends or later. True where the two are not comparable: `total` is 0 while
/// the size of an epoch is not known.
template <std::size_t N>
constexpr bool reaches(stages<N> const& s, horizon h, steps total) {
  auto const end = s.list[N - 1].until;
  if (end.in == point_of_run::unit::epochs) return h.in != horizon::unit::epochs || end.count >= h.count;
  return total.count <= 0 || end.count >= total.count;
}

}  // namespace tenon::curriculum
