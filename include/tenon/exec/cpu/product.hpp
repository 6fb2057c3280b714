#pragma once
#include "tenon/exec/cpu/micro_kernel.hpp"
#include "tenon/exec/workspace.hpp"

/// Matrix products of the whole team: target = base + left right^T, where `left` has m lines, `right` n lines and both
/// are k long. The team packs the left operand once, together, then takes panels of columns as members get free:
/// nothing is packed twice, and a member that the system has taken away for a while holds up no more than one panel.
///
/// An element is summed over k in one order that depends on k alone, so its bits are the same for any number of
/// members.
namespace tenon::exec::cpu::inline CPU_CAPABILITY {

/// Elements of k that are summed before sums go to memory. A 16-bit target takes the whole sum at once.
template <class T, class Target>
constexpr std::int64_t k_step(std::int64_t k) {
  if constexpr (requires(Target t) { t.accumulate(); })
    return std::min<std::int64_t>(k, product_depth * words<T>::per_word);
  else
    return k;
}

/// Whether the kernel may read the left operand where it lies: its words are the matrix's own.
template <class T>
inline constexpr bool read_in_place = std::is_same_v<T, float> || words<T>::per_word == 2;

/// Lines [first, last) of `left`, packed one panel after the other.
template <class T>
void pack_lines(operand<T> const& left, std::int64_t first, std::int64_t last, std::int64_t k0, std::int64_t k1,
                word<T>* to) {
  auto const depth = words_of<T>(k1 - k0);
  for (auto line = first; line < last; line += tile_rows, to += tile_rows * depth)
    pack<tile_rows>(left, line, std::min<std::int64_t>(tile_rows, last - line), k0, k1, to);
}

/// Steps of whole pages meet in one set of the cache: such a matrix is packed.
inline constexpr std::size_t page = 4096;

/// f(left) with the form of the left operand as a type.
template <class T, class F>
void with_form(operand<T> const& left, std::int64_t k, F&& f) {
  constexpr int per = words<T>::per_word;
  if constexpr (read_in_place<T>) {
    if (left.k_stride == 1 && k % per == 0 && left.line_stride % per == 0)
      return f(std::integral_constant<left_form, left_form::along_k>{});
    if constexpr (per == 1)
      if (left.line_stride == 1 && left.k_stride * sizeof(T) % page != 0)
        return f(std::integral_constant<left_form, left_form::along_lines>{});
  }
  f(std::integral_constant<left_form, left_form::panel>{});
}

/// Where the kernel finds line `line` of `left`, k from `k0`: in the matrix, or in `packed`, whose first line is
/// `packed_from`.
template <left_form Form, class T>
left_lines<word<T>> lines_at(operand<T> const& left, std::int64_t line, std::int64_t k0, word<T> const* packed,
                             std::int64_t packed_from, std::int64_t depth) {
  constexpr int per = words<T>::per_word;
  if constexpr (Form == left_form::panel)
    return {packed + (line - packed_from) * depth, 0};
  else
    return {reinterpret_cast<word<T> const*>(left.at(line, k0)),
            Form == left_form::along_k ? left.line_stride / per : left.k_stride};
}

/// One member alone: lines [first, last) of `left`, packed into `packed`; `panel` has room for one panel of columns.
template <class T, class Target>
void product_alone(std::int64_t first, std::int64_t last, std::int64_t n, std::int64_t k, operand<T> const& left,
                   operand<T> const& right, Target target, word<T>* packed, word<T>* panel) {
  if (first == last) return;
  with_form(left, k, [&](auto form) {
    auto const step = k_step<T, Target>(k);
    for (std::int64_t k0 = 0; k0 < k; k0 += step) {
      auto const k1 = std::min(k, k0 + step), depth = words_of<T>(k1 - k0);
      if constexpr (form() == left_form::panel) pack_lines(left, first, last, k0, k1, packed);
      auto const lines = lines_at<form()>(left, first, k0, packed, first, depth);
      for (std::int64_t column = 0; column < n; column += tile_columns) {
        auto const columns = std::min<std::int64_t>(tile_columns, n - column);
        pack<tile_columns>(right, column, columns, k0, k1, panel);
        multiply_panel<form()>(depth, lines, last - first, right_panel<word<T>>{panel, tile_columns}, columns,
                               target.at(first, column));
      }
      if constexpr (requires { target.accumulate(); }) target = target.accumulate();
    }
  });
}

/// The whole team. `packed` is shared, `panel` each member's own. Everything is read and written between barriers of
/// its own.
template <class X, class T, class Target>
void product(X const& x, std::int64_t m, std::int64_t n, std::int64_t k, operand<T> const& left,
             operand<T> const& right, Target target, word<T>* packed, word<T>* panel) {
  with_form(left, k, [&](auto form) {
    auto const step = k_step<T, Target>(k);
    auto const at_once = form() == left_form::panel ? std::min(m, product_lines) : m;
    auto const panels = (n + tile_columns - 1) / tile_columns;
    x.barrier();
    for (std::int64_t k0 = 0; k0 < k; k0 += step) {
      auto const k1 = std::min(k, k0 + step), depth = words_of<T>(k1 - k0);
      for (std::int64_t line = 0; line < m; line += at_once) {
        auto const lines = std::min(at_once, m - line);
        if constexpr (form() == left_form::panel) {
          auto const mine = x.part(lines);
          pack_lines(left, line + mine.first, line + mine.last, k0, k1, packed + mine.first * depth);
          x.barrier();
        }
        auto const runs = x.runs_per_panel(panels, lines);  // of lines: more than one where panels are few
        auto const cut = [&](std::int64_t run) {
          return run == runs ? lines : lines * run / runs / tile_rows * tile_rows;
        };
        x.tasks(panels * runs, [&](std::int64_t task) {
          auto const column = task / runs * tile_columns, columns = std::min<std::int64_t>(tile_columns, n - column);
          auto const from = cut(task % runs), to = cut(task % runs + 1);
          pack<tile_columns>(right, column, columns, k0, k1, panel);
          multiply_panel<form()>(depth, lines_at<form()>(left, line + from, k0, packed, line, depth), to - from,
                                 right_panel<word<T>>{panel, tile_columns}, columns, target.at(line + from, column));
        });
        x.barrier();
      }
      if constexpr (requires { target.accumulate(); }) target = target.accumulate();
    }
  });
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
