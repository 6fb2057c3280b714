#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "tenon/core/units.hpp"
#include "tenon/recipe/axes.hpp"

namespace tenon::curriculum {

/// Every document from the first step to the last.
struct none {
  using axis = tenon::axis::curriculum;
  static constexpr std::string_view kind = "none";
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
  static constexpr std::size_t size = N;

  std::array<stage, N> list{};               ///< the stages
  difficulty by = difficulty::length;        ///< what orders documents
  std::string_view field = "difficulty";     ///< JSONL field, read only with difficulty::field
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

}  // namespace tenon::curriculum
