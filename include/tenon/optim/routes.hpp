#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

#include "tenon/nn/layout.hpp"
#include "tenon/nn/section.hpp"

namespace tenon::optim {

/// How a parameter's role is treated. Every role has exactly one route; a role without one does not compile.
enum class route : std::uint8_t { decayed, undecayed, frozen, by_rule, none };

template <nn::role R>
consteval route route_of() {
  if constexpr (R == nn::role::hidden || R == nn::role::embedding || R == nn::role::adapter ||
                R == nn::role::attention || R == nn::role::feed_forward)
    return route::decayed;
  else if constexpr (R == nn::role::norm || R == nn::role::bias)
    return route::undecayed;
  else if constexpr (R == nn::role::router_bias)
    return route::by_rule;  // moved by the router's own rule, not by a gradient
  else
    return route::none;
}

/// Whether every parameter of a layer (or of a group of layers) has a route.
template <class Layer>
constexpr bool all_routed() {
  nn::described_params<Layer> described{};
  bool routed = true;
  nn::for_each_leaf(described, [&](auto const& p) {
    routed = routed && route_of<std::remove_cvref_t<decltype(p)>::parameter_role>() != route::none;
  });
  return routed;
}

struct no_route {};
/// static_assert(roles_routed<Layer>); is true, or one compile error; of a model each group is asked.
template <class Layer>
struct routed {
  static constexpr bool every_role = all_routed<Layer>();
  static_assert(every_role,
                "[tenon.role_routed] a parameter has a role that the optimizer does not route, so it would stay as it "
                "was initialised. Give it a role out of nn::role, or add a route for its role to optim/routes.hpp");
};
template <class Layer>
inline constexpr bool roles_routed = !__is_base_of(no_route, routed<Layer>);
template <class Model>
consteval bool blocks_routed();
template <class Model>
requires requires { typename Model::block_layer; }
inline constexpr bool roles_routed<Model> = roles_routed<typename Model::embedding_group> && blocks_routed<Model>() &&
                                            roles_routed<typename Model::head_group>;
template <class Model>
consteval bool blocks_routed() {
  bool all = true;
  nn::for_each_section<Model>([&](auto s) { all = all && roles_routed<typename nn::section_at<Model, s()>::block>; });
  return all;
}

constexpr route route_of(nn::role r) {
  switch (r) {
    case nn::role::hidden:
      return route_of<nn::role::hidden>();
    case nn::role::embedding:
      return route_of<nn::role::embedding>();
    case nn::role::norm:
      return route_of<nn::role::norm>();
    case nn::role::bias:
      return route_of<nn::role::bias>();
    case nn::role::router_bias:
      return route_of<nn::role::router_bias>();
    case nn::role::adapter:
      return route_of<nn::role::adapter>();
    case nn::role::attention:
      return route_of<nn::role::attention>();
    case nn::role::feed_forward:
      return route_of<nn::role::feed_forward>();
  }
  return route::frozen;
}

/// A run of the flat buffer in which all elements are treated alike.
struct region {
  std::int64_t first, last;
  bool decays;
};

/// The flat buffer's regions, neighbours of the same kind merged. Padding belongs to the parameter before it.
inline std::vector<region> regions(std::vector<nn::parameter_place> const& places, std::int64_t total) {
  std::vector<region> all;
  for (std::size_t i = 0; i < places.size(); ++i) {
    auto const r = route_of(places[i].parameter_role);
    if (!places[i].trainable || r == route::frozen || r == route::by_rule) continue;
    std::int64_t const first = places[i].offset, last = i + 1 < places.size() ? places[i + 1].offset : total;
    bool const decays = r == route::decayed;
    if (!all.empty() && all.back().last == first && all.back().decays == decays)
      all.back().last = last;
    else
      all.push_back({first, last, decays});
  }
  return all;
}

/// What the gradient's norm is taken over: all but places whose "gradient" is something else, such as the counts that
/// move a router's bias.
inline std::vector<region> with_gradient(std::vector<nn::parameter_place> const& places, std::int64_t total) {
  std::vector<region> all;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (route_of(places[i].parameter_role) == route::by_rule) continue;
    std::int64_t const first = places[i].offset, last = i + 1 < places.size() ? places[i + 1].offset : total;
    if (!all.empty() && all.back().last == first)
      all.back().last = last;
    else
      all.push_back({first, last, false});
  }
  return all;
}

/// f(first, last, decays) on the part of `all` that lies in [from, to).
template <class F>
inline void for_each_region(std::vector<region> const& all, std::int64_t from, std::int64_t to, F&& f) {
  for (auto const& r : all) {
    auto const first = r.first > from ? r.first : from, last = r.last < to ? r.last : to;
    if (first < last) f(first, last, r.decays);
  }
}

/// The parts of regions by chunk of the flat buffer, for a loop over chunks that looks nothing up.
class regions_by_chunk {
 public:
  /// `total`: elements of the flat buffer, cut into chunks of `chunk`.
  regions_by_chunk(std::vector<region> const& all, std::int64_t total, std::int64_t chunk) {
    for (std::int64_t from = 0; from < total; from += chunk) {
      for_each_region(all, from, from + chunk < total ? from + chunk : total, [&](auto first, auto last, bool decays) {
        parts_.push_back({first, last, decays});
      });
      ends_.push_back(parts_.size());
    }
  }
  /// f(first, last, decays) on each part in chunk `c`.
  template <class F>
  void each(std::int64_t c, F&& f) const {
    region const* const all = parts_.data();
    for (auto i = c > 0 ? ends_[std::size_t(c - 1)] : 0, end = ends_[std::size_t(c)]; i < end; ++i)
      f(all[i].first, all[i].last, all[i].decays);
  }

 private:
  std::vector<region> parts_;
  std::vector<std::size_t> ends_;  ///< by chunk: where its parts end
};

}  // namespace tenon::optim
