#pragma once
#include "tenon/exec/split_layout.hpp"

namespace tenon::exec {

/// The parameters of a model that is trained in part, as exec::parameter_store holds those of one that is trained in
/// whole. Of trained ones there are master, gradient and, in 16 bits, a copy; of frozen ones the weights in the compute
/// dtype and nothing else. Adapted projections are lent with room for what lies between their two products.
template <class Model, class Compute, class Training>
class split_store {
 public:
  using layout = split_layout<Model, Training>;
  static constexpr bool has_copy = !std::is_same_v<Compute, float>;
  static constexpr std::int64_t size = layout::total.trained, frozen_size = layout::total.frozen;
  static constexpr int low_width = Training::adapter_rank;

  /// Bytes of the room between an adapter's two products.
  static constexpr std::int64_t adapter_bytes(std::int64_t num_rows) {
    return nn::align_up(num_rows * low_width * std::int64_t(sizeof(Compute))) + nn::align_up(num_rows * low_width * 4) +
           (has_copy ? nn::align_up(num_rows * layout::widest_adapted * 4) : 0);
  }

  /// `num_rows`: of the largest micro-batch. `scale`: of what an adapter adds.
  split_store(std::int64_t num_rows, float scale)
      : master_(size * 4),
        gradient_(size * 4),
        copy_(has_copy ? size * std::int64_t(sizeof(Compute)) : 0),
        frozen_(frozen_size * std::int64_t(sizeof(Compute))),
        room_(adapter_bytes(num_rows)),
        low_(room_.template as<Compute>()),
        d_low_(reinterpret_cast<float*>(room_.data() +
                                        nn::align_up(num_rows * low_width * std::int64_t(sizeof(Compute))))),
        wide_(has_copy ? d_low_ + nn::align_up(num_rows * low_width * 4) / 4 : nullptr),
        scale_(scale) {}

  float* master() const { return master_.as<float>(); }
  float* gradient() const { return gradient_.as<float>(); }
  Compute* frozen() const { return frozen_.template as<Compute>(); }
  Compute* compute() const {
    if constexpr (has_copy)
      return copy_.template as<Compute>();
    else
      return master();
  }

  auto embedding() const { return lend<typename Model::embedding_group>({}); }
  template <int Section = 0>
  auto block(int i) const {
    return lend<typename nn::section_at<Model, Section>::block>(layout::template block<Section>(i));
  }
  auto head() const { return lend<typename Model::head_group>(layout::head); }

  auto embedding_sink(bool first) const { return sink<typename Model::embedding_group>({}, first); }
  template <int Section = 0>
  auto block_sink(int i, bool first) const {
    return sink<typename nn::section_at<Model, Section>::block>(layout::template block<Section>(i), first);
  }
  auto head_sink(bool first) const { return sink<typename Model::head_group>(layout::head, first); }

  void refresh_copy() const {
    if constexpr (has_copy)
      for (std::int64_t i = 0; i < size; ++i) compute()[i] = nn::narrow<Compute>(master()[i]);
  }
  /// Values before step 0; frozen ones are overwritten by those of the model that they belong to.
  void initialise(std::uint64_t seed, double std_dev) const {
    for (auto const& p : split_places<Model, Training>(true))
      initialise_place(p, master() + p.offset, seed, std_dev, Model::layers);
    std::vector<float> values;
    for (auto const& p : split_places<Model, Training>(false)) {
      values.resize(std::size_t(p.size()));
      initialise_place(p, values.data(), seed, std_dev, Model::layers);
      set_frozen(p, values.data());
    }
    refresh_copy();
  }
  /// The values of a frozen parameter, rounded to the compute dtype.
  void set_frozen(nn::parameter_place const& p, float const* values) const {
    for (std::int64_t i = 0; i < p.size(); ++i) frozen()[p.offset + i] = nn::narrow<Compute>(values[i]);
  }

 private:
  template <class Group>
  auto lend(split_extent at) const {
    typename Group::template params<nn::weights_under<Compute, Training>> p{};
    bind(p, at);
    return p;
  }
  template <class Group>
  auto sink(split_extent at, bool first) const {
    typename Group::template params<nn::gradients_under<Compute, Training>> p{};
    bind(p, at);
    nn::for_each_leaf(p, [&](auto& leaf) {
      leaf.beta = first ? 0.f : 1.f;
      if constexpr (nn::is_adapted<std::remove_cvref_t<decltype(leaf)>>)
        leaf.adapter.down.beta = leaf.adapter.up.beta = leaf.beta;
    });
    return p;
  }

  template <class Params>
  split_extent bind(Params& p, split_extent at) const {
    if constexpr (nn::leaf<Params>) {
      return bind_leaf(p, at);
    } else {
      auto const start = at;
      for_each_field(p, [&](std::string_view, auto& member) { at = bind(member, at); });
      auto const copies = nn::copies_of<Params>();
      return {start.trained + (at.trained - start.trained) * copies,
              start.frozen + (at.frozen - start.frozen) * copies};
    }
  }
  static constexpr std::int64_t padded(std::int64_t n) { return nn::align_up(n, nn::alignment / 4); }
  template <class Leaf>
  split_extent bind_leaf(Leaf& leaf, split_extent at) const {
    if constexpr (nn::is_adapted<Leaf>) {
      using down = typename decltype(leaf.adapter.down)::facts;
      using up = typename decltype(leaf.adapter.up)::facts;
      auto const second = at.trained + padded(down::size);
      leaf.low = {low_}, leaf.d_low = {d_low_}, leaf.scale = scale_;
      if constexpr (requires { leaf.values; }) {
        leaf.adapter.down.data = gradient() + at.trained, leaf.adapter.up.data = gradient() + second;
        leaf.values.down.data = compute() + at.trained, leaf.values.up.data = compute() + second;
      } else {
        leaf.frozen.data = frozen() + at.frozen, leaf.wide = wide_;
        leaf.adapter.down.data = compute() + at.trained, leaf.adapter.up.data = compute() + second;
      }
      return {second + padded(up::size), at.frozen + padded(std::int64_t{up::num_rows} * down::num_cols)};
    } else if constexpr (nn::is_state<Leaf>) {
      leaf.data = master() + at.trained;
      return {at.trained + padded(Leaf::facts::size), at.frozen};
    } else if constexpr (nn::is_untrained<Leaf>) {
      return {at.trained, at.frozen + padded(Leaf::facts::size)};
    } else {
      constexpr bool is_sink = requires { leaf.beta; };
      constexpr bool trained = is_sink || Training::trains(Leaf::facts::parameter_role);
      if constexpr (is_sink)
        leaf.data = gradient() + at.trained;
      else if constexpr (trained)
        leaf.data = compute() + at.trained;
      else
        leaf.data = frozen() + at.frozen;
      if constexpr (trained) return {at.trained + padded(Leaf::facts::size), at.frozen};
      return {at.trained, at.frozen + padded(Leaf::facts::size)};
    }
  }

  buffer master_, gradient_, copy_, frozen_, room_;
  Compute* low_;
  float *d_low_, *wide_;
  float scale_;
};

/// The store of a model under a training.
template <class Model, class Compute, class Training>
using store_for =
    std::conditional_t<Training::splits, split_store<Model, Compute, Training>, parameter_store<Model, Compute>>;

}  // namespace tenon::exec
