#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "tenon/exec/buffer.hpp"

namespace tenon::optim {

/// The moments of an optimizer: `N` flat buffers of `T` (float, or nn::bf16 where the recipe names it), each in the layout
/// of the parameters, zero at the start. As a field of an engine's `state` it is saved under PARAMETER.NAME, with the
/// names of engine::moment_names.
template <std::size_t N, class T = float>
class moments {
 public:
  using value_type = T;
  moments() noexcept {}  // written out: g++ 12 fails on the defaulted one inside an aggregate that is reflected
  /// Room for `size` elements each.
  explicit moments(std::int64_t size) {
    for (auto& one : all_) one = exec::buffer(size * std::int64_t(sizeof(T)));
  }
  moments(moments&&) noexcept = default;
  moments& operator=(moments&&) noexcept = default;

  static constexpr std::size_t size() { return N; }
  exec::buffer const& operator[](std::size_t i) const { return all_[i]; }
  T* at(std::size_t i) const { return all_[i].template as<T>(); }

 private:
  std::array<exec::buffer, N> all_;
};

/// The state of an optimizer's engine before its first step, for `size` elements of parameters.
template <class Engine>
typename Engine::state start_state(std::int64_t size) {
  typename Engine::state s{};
  if constexpr (requires { s.moments; }) s.moments = decltype(s.moments)(size);
  return s;
}

}  // namespace tenon::optim
