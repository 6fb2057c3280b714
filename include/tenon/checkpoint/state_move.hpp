#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/core/error.hpp"
#include "tenon/nn/dtype.hpp"

namespace tenon::checkpoint {

/// A tensor of the new state, to be written: row-major, product(shape) elements of `type` at `data`. Before a migration it
/// holds what a new run would begin with.
struct tensor_target {
  std::string name;
  dtype type;
  std::vector<std::int64_t> shape;
  void* data;
};

/// A tensor as a function of a migration's own sees it. Only fp32 tensors are given to one.
template <class Float>
struct shaped_values {
  std::vector<std::int64_t> const& shape;
  std::span<Float> values;
};

/// What the rows are that a grown tensor has more than the old one.
enum class new_rows {
  zero,     ///< zeros
  mean,     ///< the mean of the old rows, as a rule for new entries of a vocabulary (Hewitt 2021)
  initial,  ///< what the new recipe's initialiser made of them
};

/// How the state of one recipe becomes that of another: rules, of which the first that names a tensor of the new state
/// says where its values come from. A name in a rule may have one `*`, which stands for any characters.
///
/// Nothing is guessed: a tensor of the new state without a rule, one of the old state that no rule takes or drops, a
/// rule that names nothing, and a rule whose shapes do not fit are errors that name the tensor.
class state_move {
 public:
  /// As it was, under the same name; between fp32 and bf16 (moments) rounded or widened.
  void same(std::string_view names) { add(kind::copy, names, names); }
  /// As the old tensor `from` was; the `*` of `from` stands for what that of `names` stood for. The old tensor may be
  /// taken more than once.
  void copied(std::string_view names, std::string_view from) { add(kind::copy, names, from); }
  /// All elements are `value`.
  void filled(std::string_view names, double value) { add(kind::fill, names, {}).value = value; }
  /// What a new run would begin with: the initialiser's values, zero moments, step 0.
  void initial(std::string_view names) { add(kind::keep, names, {}); }
  /// The old tensor's rows, and more of them behind. The other dimensions must be the same.
  void grown(std::string_view names, new_rows rows) { add(kind::grow, names, names).rows = rows; }
  /// `f(old, now)` writes `now` from the old tensor of the same name, of any shape; fp32 only.
  using function = void (*)(shaped_values<float const> old, shaped_values<float> now);
  void computed(std::string_view names, function f) { add(kind::compute, names, names).f = f; }
  /// These of the old state are lost, on purpose.
  void dropped(std::string_view names) { add(kind::drop, names, {}); }

  /// Runs the rules. Throws tenon::error as said above; `now` may then be partly written.
  void apply(std::map<std::string, stored_tensor> const& old, std::span<tensor_target const> now) {
    std::map<std::string, bool> taken;
    for (auto const& target : now) {
      rule* const r = first(target.name, false);
      if (r == nullptr)
        throw error("the migration says nothing of '" + target.name + "', which the new recipe has; add m.same, m.copied, "
                    "m.grown, m.filled or m.initial for it");
      move(*r, target, old, taken);
    }
    for (auto const& [name, unused] : old)
      if (taken.count(name) == 0 && first(name, true) == nullptr)
        throw error("the checkpoint holds '" + name + "', which no rule of the migration takes; if it shall be lost, add "
                    "m.dropped(\"" + name + "\")");
    for (auto const& r : rules_)
      if (!r.used)
        throw error("a rule of the migration names '" + r.names + "', and no tensor has such a name or an earlier rule has "
                    "taken it; remove the rule, or correct its name");
  }

 private:
  enum class kind { copy, fill, keep, grow, compute, drop };
  struct rule {
    kind what;
    std::string names, from;
    double value = 0;
    new_rows rows = new_rows::zero;
    function f = nullptr;
    bool used = false;
  };

  rule& add(kind what, std::string_view names, std::string_view from) {
    for (auto const text : {names, from})
      if (text.find('*') != text.rfind('*'))
        throw error("'" + std::string(text) + "' has more than one '*'; write a rule for each case");
    return rules_.emplace_back(rule{what, std::string(names), std::string(from)});
  }

  /// What the `*` of a pattern stands for in a name; nothing where the name does not match.
  static std::optional<std::string> match(std::string const& pattern, std::string const& name) {
    auto const star = pattern.find('*');
    if (star == pattern.npos) return pattern == name ? std::optional<std::string>("") : std::nullopt;
    auto const behind = pattern.size() - star - 1;
    if (name.size() < star + behind || name.compare(0, star, pattern, 0, star) != 0 ||
        name.compare(name.size() - behind, behind, pattern, star + 1, behind) != 0)
      return std::nullopt;
    return name.substr(star, name.size() - star - behind);
  }
  rule* first(std::string const& name, bool drops) {
    for (auto& r : rules_)
      if ((r.what == kind::drop) == drops && match(r.names, name)) return r.used = true, &r;
    return nullptr;
  }

  static std::string text(std::vector<std::int64_t> const& shape) {
    std::string all = "[";
    for (auto const n : shape) all += (all.size() > 1 ? ", " : "") + std::to_string(n);
    return all + "]";
  }

  static void move(rule const& r, tensor_target const& to, std::map<std::string, stored_tensor> const& old,
                   std::map<std::string, bool>& taken) {
    if (r.what == kind::keep) return;
    auto const bytes = std::size_t(*bytes_of(to.type, to.shape));
    if (r.what == kind::fill) return fill(to, bytes, r.value);
    std::string source = r.from;
    if (auto const star = source.find('*'); star != source.npos) source.replace(star, 1, *match(r.names, to.name));
    auto const found = old.find(source);
    if (found == old.end())
      throw error("the migration takes '" + to.name + "' from '" + source + "', which the checkpoint does not hold");
    taken[source] = true;
    auto const& from = found->second;
    auto const wrong = [&](char const* what) {
      return error("the migration takes '" + to.name + "', of shape " + text(to.shape) + ", from '" + source +
                   "', of shape " + text(from.shape) + ": " + what);
    };
    if (r.what == kind::copy && from.shape == to.shape && rounds(from, to)) return;
    if (from.type != to.type) throw wrong("they have different dtypes; use m.filled or m.initial");
    if (r.what == kind::copy) {
      if (from.shape != to.shape) throw wrong("m.same and m.copied need one shape; use m.grown or m.computed");
      std::memcpy(to.data, from.bytes.data(), bytes);
      return;
    }
    if (to.type != dtype::F32) throw wrong("m.grown and m.computed are for fp32 tensors");
    // The file gives no alignment, so the values are copied before anybody computes with them.
    std::vector<float> before(from.bytes.size() / sizeof(float));
    std::memcpy(before.data(), from.bytes.data(), from.bytes.size());
    std::span<float> const after(static_cast<float*>(to.data), bytes / sizeof(float));
    if (r.what == kind::compute) return r.f({from.shape, before}, {to.shape, after});
    bool fits = !from.shape.empty() && from.shape.size() == to.shape.size() && from.shape[0] <= to.shape[0];
    for (std::size_t d = 1; fits && d < to.shape.size(); ++d) fits = from.shape[d] == to.shape[d];
    if (!fits) throw wrong("m.grown adds rows and nothing else; use m.computed");
    grow(before, std::size_t(from.shape[0]), after, r.rows);
  }

  /// Copies between fp32 and bf16 (moments that the new recipe names otherwise); false for any other pair of dtypes.
  static bool rounds(stored_tensor const& from, tensor_target const& to) {
    bool const narrows = from.type == dtype::F32 && to.type == dtype::BF16;
    if (!narrows && !(from.type == dtype::BF16 && to.type == dtype::F32)) return false;
    auto const each = [&]<class From, class To>(From, To, auto convert) {
      for (std::size_t i = 0; i < from.bytes.size() / sizeof(From); ++i) {
        From value;
        std::memcpy(&value, from.bytes.data() + i * sizeof(From), sizeof value);
        static_cast<To*>(to.data)[i] = convert(value);
      }
    };
    if (narrows)
      each(float{}, nn::bf16{}, [](float v) { return nn::narrow<nn::bf16>(v); });
    else
      each(nn::bf16{}, float{}, [](nn::bf16 v) { return nn::widen(v); });
    return true;
  }

  static void fill(tensor_target const& to, std::size_t bytes, double value) {
    auto const set = [&]<class T>(T v) {
      for (std::size_t at = 0; at < bytes; at += sizeof(T)) std::memcpy(static_cast<char*>(to.data) + at, &v, sizeof(T));
    };
    if (to.type == dtype::F32) return set(float(value));
    if (to.type == dtype::BF16) return set(nn::narrow<nn::bf16>(float(value)));
    if (to.type == dtype::F64) return set(value);
    if (to.type == dtype::I64) return set(std::int64_t(value));
    throw error("m.filled cannot write '" + to.name + "', which is neither fp32, bf16, fp64 nor int64");
  }

  static void grow(std::span<float const> before, std::size_t rows, std::span<float> after, new_rows how) {
    std::memcpy(after.data(), before.data(), before.size_bytes());
    if (how == new_rows::initial) return;
    std::size_t const width = rows > 0 ? before.size() / rows : 0;
    std::vector<float> row(width, 0.f);
    if (how == new_rows::mean)
      for (std::size_t c = 0; c < width; ++c) {
        double sum = 0;
        for (std::size_t at = c; at < before.size(); at += width) sum += double(before[at]);
        row[c] = float(sum / double(rows));
      }
    for (std::size_t at = before.size(); at < after.size(); at += width)
      std::memcpy(after.data() + at, row.data(), width * sizeof(float));
  }

  std::vector<rule> rules_;
};

}  // namespace tenon::checkpoint
