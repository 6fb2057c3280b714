#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <limits>
#include <vector>

#include "tenon/exec/store.hpp"
#include "tenon/nn/layout.hpp"

/// A parameter store that two ranks share, each a thread: every group lies in two halves, rank r owns half r of the
/// values and of the gradients.
namespace toy {

namespace nn = tenon::nn;

template <class Model>
struct sharded_world {
  static constexpr int ranks = 2, groups = Model::layers + 2;
  using layout = tenon::exec::flat_layout<Model>;
  struct span {
    std::int64_t offset, size;
  };
  static span group(int g) {
    if (g == 0) return {0, layout::embedding_size};
    if (g <= Model::layers) return {layout::first_block + (g - 1) * layout::block_size, layout::block_size};
    return {layout::head, layout::head_size};
  }
  explicit sharded_world(float const* master) {
    for (int r = 0; r < ranks; ++r)
      for (int g = 0; g < groups; ++g) {
        auto const [offset, size] = group(g);
        auto const half = size / ranks;
        values[r].insert(values[r].end(), master + offset + r * half, master + offset + (r + 1) * half);
        gradients[r].resize(values[r].size(),
                            std::numeric_limits<float>::quiet_NaN());  // nothing is cleared beforehand
      }
  }
  /// Where a group's half starts inside a rank's buffer.
  static std::int64_t shard(int g) { return group(g).offset / ranks; }

  std::vector<float> full_gradient() const {
    std::vector<float> all(static_cast<std::size_t>(layout::total));
    for (int g = 0; g < groups; ++g) {
      auto const [offset, size] = group(g);
      for (int r = 0; r < ranks; ++r)
        std::copy_n(gradients[r].begin() + shard(g), size / ranks, all.begin() + offset + r * (size / ranks));
    }
    return all;
  }

  std::vector<float> values[ranks], gradients[ranks];
  float const* published[ranks] = {};
  std::barrier<> meet{ranks};
};

/// One rank's door. A lease gathers its group on construction; its end takes the group away: values turn into NaN, so
/// that whoever reads them later spoils his result, and gradients are summed over the ranks into the halves.
template <class Model>
class sharded_store {
  using world = sharded_world<Model>;

 public:
  sharded_store(world& w, int rank) : world_(w), rank_(rank), room_(world::groups), sink_room_(world::groups) {
    for (int g = 0; g < world::groups; ++g) {
      room_[std::size_t(g)].resize(std::size_t(world::group(g).size), nan);
      sink_room_[std::size_t(g)].resize(std::size_t(world::group(g).size), nan);
    }
    users_.resize(world::groups), sink_users_.resize(world::groups);
  }

  template <class Params>
  struct lease : Params {
    sharded_store* store;
    int group;
    lease(sharded_store* s, int g) : Params{}, store(s), group(g) {
      nn::bind_parameters(static_cast<Params&>(*this), s->gather(g));
    }
    lease(lease const&) = delete;
    ~lease() { store->drop(group); }
  };
  template <class Params>
  struct sink_lease : Params {
    sharded_store* store;
    int group;
    bool first;
    sink_lease(sharded_store* s, int g, bool f) : Params{}, store(s), group(g), first(f) {
      nn::bind_parameters(static_cast<Params&>(*this), s->open_sink(g));
      nn::for_each_leaf(static_cast<Params&>(*this), [](auto& leaf) { leaf.beta = 0; });  // the room is fresh each time
    }
    sink_lease(sink_lease const&) = delete;
    ~sink_lease() { store->reduce_scatter(group, first); }
  };

  using W = nn::weights<float>;
  using G = nn::gradients;
  auto embedding() { return lease<typename Model::embedding_group::template params<W>>(this, 0); }
  template <int Section = 0>
  auto block(int i) {
    return lease<typename Model::block_layer::template params<W>>(this, 1 + i);
  }
  auto head() { return lease<typename Model::head_group::template params<W>>(this, Model::layers + 1); }
  auto embedding_sink(bool first) {
    return sink_lease<typename Model::embedding_group::template params<G>>(this, 0, first);
  }
  template <int Section = 0>
  auto block_sink(int i, bool first) {
    return sink_lease<typename Model::block_layer::template params<G>>(this, 1 + i, first);
  }
  auto head_sink(bool first) {
    return sink_lease<typename Model::head_group::template params<G>>(this, Model::layers + 1, first);
  }

  int gathered_now = 0, gathered_at_most = 0, gathers = 0, scatters = 0;

 private:
  static constexpr float nan = std::numeric_limits<float>::quiet_NaN();

  float* gather(int g) {
    auto& room = room_[std::size_t(g)];
    if (users_[std::size_t(g)]++ == 0) {
      auto const half = world::group(g).size / world::ranks;
      for (int r = 0; r < world::ranks; ++r)
        std::copy_n(world_.values[r].begin() + world::shard(g), half, room.begin() + r * half);
      ++gathers, gathered_at_most = std::max(gathered_at_most, ++gathered_now);
    }
    return room.data();
  }
  void drop(int g) {
    if (--users_[std::size_t(g)] > 0) return;
    std::fill(room_[std::size_t(g)].begin(), room_[std::size_t(g)].end(), nan);
    --gathered_now;
  }
  float* open_sink(int g) {
    if (sink_users_[std::size_t(g)]++ != 0) throw tenon::error("two sinks of one group are open at once");
    return sink_room_[std::size_t(g)].data();
  }
  /// Each rank sums its half of both ranks' contributions, in the ranks' order.
  void reduce_scatter(int g, bool first) {
    auto& room = sink_room_[std::size_t(g)];
    clear_padding(g, room.data());
    world_.published[rank_] = room.data();
    world_.meet.arrive_and_wait();
    auto const half = world::group(g).size / world::ranks;
    float* const mine = world_.gradients[rank_].data() + world::shard(g);
    for (std::int64_t i = 0; i < half; ++i) {
      float const sum = world_.published[0][rank_ * half + i] + world_.published[1][rank_ * half + i];
      mine[i] = first ? sum : mine[i] + sum;
    }
    world_.meet.arrive_and_wait();
    std::fill(room.begin(), room.end(), nan);
    --sink_users_[std::size_t(g)], ++scatters;
  }
  /// Nobody writes the padding between tensors.
  static void clear_padding(int g, float* room) {
    auto const [offset, size] = world::group(g);
    std::vector<bool> used(std::size_t(size), false);
    for (auto const& p : tenon::exec::parameter_places<Model>())
      if (p.offset >= offset && p.offset < offset + size)
        for (std::int64_t i = 0; i < p.size(); ++i) used[std::size_t(p.offset - offset + i)] = true;
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i]) room[i] = 0;
  }

  world& world_;
  int rank_;
  std::vector<std::vector<float>> room_, sink_room_;
  std::vector<int> users_, sink_users_;
};

}  // namespace toy
