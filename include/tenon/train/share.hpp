#pragma once
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tenon/parallel/group.hpp"
#include "tenon/train/component.hpp"

namespace tenon::train {

/// Gives all ranks the leader's whole state, component by component, by the `visit` that checkpoints use. Only the leader
/// reads a checkpoint, which may lie on a disk of its own.
template <class Trainer>
void share_state(parallel::group& ranks, Trainer& t) {
  struct sender {
    parallel::group* ranks;
    void tensor(file, std::string const&, std::vector<std::int64_t> const& shape, float* data) {
      std::size_t n = 1;
      for (auto const s : shape) n *= std::size_t(s);
      ranks->broadcast(data, n * sizeof(float), "the weights");
    }
    void number(std::string const&, std::int64_t& value) { ranks->broadcast(&value, sizeof value, "the state"); }
    void number(std::string const&, double& value) { ranks->broadcast(&value, sizeof value, "the state"); }
  };
  if (ranks.size() == 1) return;
  sender to{&ranks};
  auto components = t.components();
  std::apply([&](auto&... c) { (std::remove_cvref_t<decltype(c)>::visit(c, to), ...); }, components);
  t.engine().refresh_copy();
}

}  // namespace tenon::train
