#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "tenon/exec/store.hpp"

namespace tenon::parallel {

/// A run of the flat gradient buffer.
struct span {
  std::int64_t first = 0, last = 0;  ///< elements
};

/// Number of a group of parameters in the order in which a backward pass completes their gradients: head, blocks from the
/// last to the first, embedding (which a tied head shares, and which is last in both cases). Known when compiling. Modules
/// that predict further tokens count as blocks; they are complete a moment before the head, which all of them use.
template <class Model>
struct readiness {
  static constexpr int blocks = nn::sections_of<Model>::blocks;
  static constexpr int groups = blocks + 2, head = 0, embedding = blocks + 1;
  /// Block `i` of a section.
  template <int Section>
  static constexpr int block(int i) {
    return blocks - (nn::section_at<Model, Section>::first + i);
  }
  /// Where the groups' gradients lie. The flat buffer holds them the other way round, so each ends where the one before it
  /// begins.
  static constexpr std::array<span, groups> places() {
    using layout = exec::flat_layout<Model>;
    std::array<span, groups> all{};
    all[head] = {layout::head, layout::total};
    all[embedding] = {0, layout::embedding_size};
    nn::for_each_section<Model>([&](auto s) {
      using section = nn::section_at<Model, s()>;
      for (int i = 0; i < section::count; ++i)
        all[block<s()>(i)] = {layout::template block<s()>(i), layout::template block<s()>(i) + section::block_size};
    });
    return all;
  }
};

/// A run of the flat gradient buffer that is reduced as one, in place.
struct bucket {
  std::int64_t first, last;  ///< elements
  int groups;                ///< groups of parameters in it
};
struct bucket_list {
  std::vector<bucket> all;
  std::vector<int> of_group;  ///< the bucket of the n-th group that becomes ready
};

/// Groups, in their order of readiness, are put together until a bucket has at least `least_bytes` on the wire, where an
/// element takes `wire_bytes`.
template <class Places>
bucket_list make_buckets(Places const& places, std::int64_t least_bytes, std::int64_t wire_bytes) {
  bucket_list list;
  bool open = false;
  for (span const& place : places) {
    if (!open) list.all.push_back({place.first, place.last, 0});
    auto& b = list.all.back();
    b.first = place.first, ++b.groups;
    list.of_group.push_back(int(list.all.size()) - 1);
    open = (b.last - b.first) * wire_bytes < least_bytes;
  }
  return list;
}

}  // namespace tenon::parallel
