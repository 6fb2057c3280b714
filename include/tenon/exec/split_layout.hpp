#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/exec/store.hpp"
#include "tenon/nn/training.hpp"

/// Where the parameters of a model lie that is trained in part: the trained ones in one flat buffer, laid out like
/// exec::flat_layout, the frozen ones in another. State (a router's bias) lies among the trained ones, frozen or not.
namespace tenon::exec {

/// Elements of a group in each of the two buffers, padding included.
struct split_extent {
  std::int64_t trained = 0, frozen = 0;
  constexpr split_extent operator+(split_extent o) const { return {trained + o.trained, frozen + o.frozen}; }
  constexpr split_extent operator*(std::int64_t n) const { return {trained * n, frozen * n}; }
};

namespace detail {

template <std::int64_t Size>
inline constexpr std::int64_t padded = nn::align_up(Size, nn::alignment / 4);

/// f(trained, facts, suffix of the name on disk) for each tensor that a leaf of described_under stands for.
template <class Training, class Leaf, class F>
constexpr void for_each_tensor(Leaf const& leaf, F&& f) {
  if constexpr (nn::is_adapted<Leaf>) {
    f(std::false_type{}, leaf.frozen, "weight");
    f(std::true_type{}, leaf.adapter.down, "lora_A.weight"), f(std::true_type{}, leaf.adapter.up, "lora_B.weight");
  } else {
    constexpr bool trained = Training::trains(Leaf::parameter_role) || Leaf::parameter_role == nn::role::router_bias;
    f(std::bool_constant<trained>{}, leaf, "");
  }
}

template <class Training, class Described>
constexpr split_extent extent_of(Described const& d) {
  split_extent all;
  if constexpr (nn::leaf<Described>) {
    for_each_tensor<Training>(d, [&](auto trained, auto const& p, auto const&) {
      auto const size = padded<std::remove_cvref_t<decltype(p)>::size>;
      (trained() ? all.trained : all.frozen) += size;
    });
  } else {
    for_each_field(d, [&](std::string_view, auto const& member) { all = all + extent_of<Training>(member); });
    all = all * nn::copies_of<Described>();
  }
  return all;
}

/// Trained scalars of a group without padding and state, and frozen ones.
template <class Training, class Described>
constexpr split_extent count_of(Described const& d) {
  split_extent all;
  if constexpr (nn::leaf<Described>) {
    for_each_tensor<Training>(d, [&](auto trained, auto const& p, auto const&) {
      using facts = std::remove_cvref_t<decltype(p)>;
      if (facts::parameter_role != nn::role::router_bias) (trained() ? all.trained : all.frozen) += facts::size;
    });
  } else {
    for_each_field(d, [&](std::string_view, auto const& member) { all = all + count_of<Training>(member); });
    all = all * nn::copies_of<Described>();
  }
  return all;
}

}  // namespace detail

template <class Model, class Training>
struct split_layout {
  template <class Group>
  using described = typename Group::template params<nn::described_under<Training>>;
  template <class Group>
  static constexpr split_extent extent = detail::extent_of<Training>(described<Group>{});

  static constexpr split_extent embedding_size = extent<typename Model::embedding_group>;
  static constexpr split_extent head_size = extent<typename Model::head_group>;
  template <int Section>
  static constexpr split_extent block_size = extent<typename nn::section_at<Model, Section>::block>;
  /// Where block `i` of a section begins.
  template <int Section>
  static constexpr split_extent block(int i) {
    split_extent at = embedding_size + block_size<Section> * i;
    nn::for_each_section<Model>([&](auto s) {
      if (s() < Section) at = at + block_size<s()> * nn::section_at<Model, s()>::count;
    });
    return at;
  }
  static constexpr split_extent head = [] {
    split_extent at = embedding_size;
    nn::for_each_section<Model>([&](auto s) { at = at + block_size<s()> * nn::section_at<Model, s()>::count; });
    return at;
  }();
  static constexpr split_extent total = head + head_size;
  static constexpr split_extent parameters = [] {
    auto all = detail::count_of<Training>(described<typename Model::embedding_group>{}) +
               detail::count_of<Training>(described<typename Model::head_group>{});
    nn::for_each_section<Model>([&](auto s) {
      using section = nn::section_at<Model, s()>;
      all = all + detail::count_of<Training>(described<typename section::block>{}) * section::count;
    });
    return all;
  }();
  /// Width of the widest result of an adapted projection; 0 where nothing is adapted.
  static constexpr int widest_adapted = [] {
    int widest = 0;
    auto const look = [&](auto const& leaf) {
      if constexpr (nn::is_adapted<std::remove_cvref_t<decltype(leaf)>>)
        widest = leaf.frozen.num_rows > widest ? leaf.frozen.num_rows : widest;
    };
    nn::for_each_section<Model>([&](auto s) {
      described<typename nn::section_at<Model, s()>::block> d{};
      nn::for_each_leaf(d, look);
    });
    return widest;
  }();
};

/// Every parameter with its name on disk: those of the flat buffer of trained ones, or those of the frozen.
template <class Model, class Training>
std::vector<nn::parameter_place> split_places(bool of_trained) {
  std::vector<nn::parameter_place> all;
  using layout = split_layout<Model, Training>;
  auto const group = [&]<class Group>(std::type_identity<Group>, std::string const& prefix, split_extent at) {
    typename layout::template described<Group> d{};
    nn::for_each_named_leaf(d, prefix, [&](std::string const& name, auto const& leaf) {
      detail::for_each_tensor<Training>(leaf, [&](auto trained, auto const& p, std::string const& suffix) {
        auto& offset = trained() ? at.trained : at.frozen;
        if (trained() == of_trained) {
          auto const path = suffix.empty() ? name : name.substr(0, name.rfind('.') + 1) + suffix;
          all.push_back({path, offset, p.num_rows, p.num_cols, p.rank, p.parameter_role, p.init, {}});
        }
        offset += nn::align_up(p.size, nn::alignment / 4);
      });
    });
  };
  group(std::type_identity<typename Model::embedding_group>{}, "", {});
  nn::for_each_section<Model>([&](auto s) {
    using section = nn::section_at<Model, s()>;
    for (int i = 0; i < section::count; ++i)
      group(std::type_identity<typename section::block>{}, "model.layers." + std::to_string(section::first + i) + ".",
            layout::template block<s()>(i));
  });
  group(std::type_identity<typename Model::head_group>{}, "", layout::head);
  return all;
}

}  // namespace tenon::exec
