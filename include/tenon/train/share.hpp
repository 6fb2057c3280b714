#pragma once
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tenon/parallel/group.hpp"
#include "tenon/train/component.hpp"

namespace tenon::train {

namespace detail {
/// Sends each part of the leader's state to all ranks.
struct sender {
  parallel::group* ranks;
  template <class T>
  void tensor(file, std::string const&, std::vector<std::int64_t> const& shape, T* data) {
    std::size_t n = 1;
    for (auto const s : shape) n *= std::size_t(s);
    ranks->broadcast(data, n * sizeof(T), "the weights");
  }
  void number(std::string const&, std::int64_t& value) { ranks->broadcast(&value, sizeof value, "the state"); }
  void number(std::string const&, double& value) { ranks->broadcast(&value, sizeof value, "the state"); }
};
}  // namespace detail

/// Gives all ranks the leader's whole state, component by component, by the `visit` that checkpoints use. Only the leader
/// reads a checkpoint, which may lie on a disk of its own.
template <class Trainer>
void share_state(parallel::group& ranks, Trainer& t) {
  if (ranks.size() == 1) return;
  detail::sender to{&ranks};
  auto components = t.components();
  std::apply([&](auto&... c) { (std::remove_cvref_t<decltype(c)>::visit(c, to), ...); }, components);
  t.engine().refresh_copy();
}

}  // namespace tenon::train
