#pragma once
#include "tenon/exec/cpu/micro_kernel.hpp"
#include "tenon/exec/cpu/work.hpp"
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
        work::product(last - first, columns, k1 - k0);
        multiply_panel<form()>(depth, lines, last - first, right_panel<word<T>>{panel, tile_columns}, columns,
                               target.at(first, column));
      }
      if constexpr (requires { target.accumulate(); }) target = target.accumulate();
    }
  });
}

/// How the panels of a product are handed out: first whole ones, then the last few in runs of lines, so that at the end
/// no member waits long for another. A run packs its panel again, so it is not made short.
struct panel_tasks {
  std::int64_t panels, lines, whole, runs;

  panel_tasks(std::int64_t all_panels, std::int64_t all_lines, std::int64_t members)
      : panels(all_panels),
        lines(all_lines),
        whole(members == 1 ? panels : std::max<std::int64_t>(0, panels - 2 * members)) {
    auto const cut = std::max<std::int64_t>(1, panels - whole);
    runs = std::clamp<std::int64_t>((8 * members + cut - 1) / cut, 1, std::max<std::int64_t>(1, lines / 64));
  }
  std::int64_t count() const { return whole + (panels - whole) * runs; }
  struct task {
    std::int64_t panel, from, to;  ///< lines [from, to)
  };
  task at(std::int64_t i) const {
    if (i < whole) return {i, 0, lines};
    auto const run = (i - whole) % runs;
    auto const edge = [&](std::int64_t r) { return r == runs ? lines : lines * r / runs / tile_rows * tile_rows; };
    return {whole + (i - whole) / runs, edge(run), edge(run + 1)};
  }
};

/// The whole team. `packed` is shared, `panel` each member's own. Everything is read and written between barriers of
/// its own.
template <class X, class T, class Target>
void product(X const& x, std::int64_t m, std::int64_t n, std::int64_t k, operand<T> const& left,
             operand<T> const& right, Target target, word<T>* packed, word<T>* panel) {
  auto const panels = (n + tile_columns - 1) / tile_columns;
  x.barrier();
  with_form(left, k, [&](auto form) {
    auto const step = k_step<T, Target>(k);
    // One panel of columns, k in [k0, k1), against lines [from, to) of those that begin with line `line`.
    auto const multiply = [&](panel_tasks::task const& t, std::int64_t line, std::int64_t k0, std::int64_t k1,
                              Target const& to) {
      auto const column = t.panel * tile_columns, columns = std::min<std::int64_t>(tile_columns, n - column);
      auto const depth = words_of<T>(k1 - k0);
      pack<tile_columns>(right, column, columns, k0, k1, panel);
      work::product(t.to - t.from, columns, k1 - k0);
      multiply_panel<form()>(depth, lines_at<form()>(left, line + t.from, k0, packed, line, depth), t.to - t.from,
                             right_panel<word<T>>{panel, tile_columns}, columns, to.at(line + t.from, column));
    };
    auto const next = [](Target const& to) {
      if constexpr (requires { to.accumulate(); })
        return to.accumulate();
      else
        return to;
    };
    if constexpr (form() != left_form::panel) {  // a task sums over all of k: nobody waits between its steps
      panel_tasks const tasks(panels, m, x.members());
      x.tasks(tasks.count(), [&](std::int64_t i) {
        auto const t = tasks.at(i);
        auto to = target;
        for (std::int64_t k0 = 0; k0 < k; k0 += step, to = next(to)) multiply(t, 0, k0, std::min(k, k0 + step), to);
      });
      x.barrier();
    } else {
      for (std::int64_t k0 = 0; k0 < k; k0 += step, target = next(target)) {
        auto const k1 = std::min(k, k0 + step);
        for (std::int64_t line = 0; line < m; line += product_lines) {
          auto const lines = std::min(product_lines, m - line);
          auto const mine = x.part(lines);
          pack_lines(left, line + mine.first, line + mine.last, k0, k1, packed + mine.first * words_of<T>(k1 - k0));
          x.barrier();
          panel_tasks const tasks(panels, lines, x.members());
          x.tasks(tasks.count(), [&](std::int64_t i) { multiply(tasks.at(i), line, k0, k1, target); });
          x.barrier();
        }
      }
    }
  });
}

}  // namespace tenon::exec::cpu::inline CPU_CAPABILITY
