#pragma once
#include <compare>
#include <cstdint>

namespace tenon {

/// What every unit of length shares: a signed 64-bit count that meets only its own kind. Construction from a number is
/// explicit; + - and comparison take the same unit on both sides; * and / take an integer, and unit / unit is a number.
template <class Unit>
struct quantity {
  std::int64_t count = 0;

  constexpr quantity() = default;
  constexpr explicit quantity(std::int64_t n) : count(n) {}

  friend constexpr bool operator==(Unit a, Unit b) { return a.count == b.count; }
  friend constexpr std::strong_ordering operator<=>(Unit a, Unit b) { return a.count <=> b.count; }
  friend constexpr Unit operator+(Unit a, Unit b) { return Unit{a.count + b.count}; }
  friend constexpr Unit operator-(Unit a, Unit b) { return Unit{a.count - b.count}; }
  friend constexpr Unit operator*(Unit a, std::int64_t n) { return Unit{a.count * n}; }
  friend constexpr Unit operator*(std::int64_t n, Unit a) { return Unit{a.count * n}; }
  friend constexpr Unit operator/(Unit a, std::int64_t n) { return Unit{a.count / n}; }
  friend constexpr std::int64_t operator/(Unit a, Unit b) { return a.count / b.count; }
  friend constexpr std::int64_t operator%(Unit a, Unit b) { return a.count % b.count; }
  friend constexpr Unit& operator+=(Unit& a, Unit b) { return a.count += b.count, a; }
  friend constexpr Unit& operator-=(Unit& a, Unit b) { return a.count -= b.count, a; }
  friend constexpr Unit& operator++(Unit& a) { return ++a.count, a; }
};

/// Optimizer updates.
struct steps : quantity<steps> {
  using quantity<steps>::quantity;
};
/// Forward and backward passes of one micro-batch; several make a step.
struct micro_steps : quantity<micro_steps> {
  using quantity<micro_steps>::quantity;
};
/// Packed rows of one sequence length each.
struct samples : quantity<samples> {
  using quantity<samples>::quantity;
};
/// Token positions.
struct tokens : quantity<tokens> {
  using quantity<tokens>::quantity;
};
/// Passes over the training split.
struct epochs : quantity<epochs> {
  using quantity<epochs>::quantity;
};
/// Wall-clock minutes, for periods only: nothing that decides a number may depend on them.
struct minutes : quantity<minutes> {
  using quantity<minutes>::quantity;
};
/// Wall-clock seconds, for limits of patience only.
struct seconds : quantity<seconds> {
  using quantity<seconds>::quantity;
};
/// Memory.
struct bytes : quantity<bytes> {
  using quantity<bytes>::quantity;
};

/// A share of the run, in hundredths; 2.5_percent is allowed.
struct percent {
  double value = 0;
  friend constexpr bool operator==(percent, percent) = default;
};

/// A length inside a run, given in steps, tokens or percent of the horizon; implicit from each of them.
struct span_of_run {
  enum class unit { steps, tokens, percent };
  unit in = unit::steps;
  double amount = 0;  ///< exact for counts up to 2^53

  constexpr span_of_run() = default;
  constexpr span_of_run(steps n) : in(unit::steps), amount(static_cast<double>(n.count)) {}
  constexpr span_of_run(tokens n) : in(unit::tokens), amount(static_cast<double>(n.count)) {}
  constexpr span_of_run(percent p) : in(unit::percent), amount(p.value) {}

  /// The length in steps: percent rounds to the nearest step, tokens round up to whole steps.
  constexpr steps resolve(steps total, tokens tokens_per_step) const {
    if (in == unit::steps) return steps{static_cast<std::int64_t>(amount)};
    if (in == unit::percent)
      return steps{static_cast<std::int64_t>(static_cast<double>(total.count) * amount / 100 + 0.5)};
    if (tokens_per_step.count <= 0) return steps{0};
    return steps{(static_cast<std::int64_t>(amount) + tokens_per_step.count - 1) / tokens_per_step.count};
  }
  friend constexpr bool operator==(span_of_run, span_of_run) = default;
};

/// A point of the run counted from its start, in epochs or steps; implicit from both.
struct point_of_run {
  enum class unit { epochs, steps };
  unit in = unit::epochs;
  std::int64_t count = 0;

  constexpr point_of_run() = default;
  constexpr point_of_run(epochs n) : in(unit::epochs), count(n.count) {}
  constexpr point_of_run(steps n) : in(unit::steps), count(n.count) {}
  friend constexpr bool operator==(point_of_run, point_of_run) = default;
};

/// How often something happens, in steps or minutes; implicit from both. Zero means never.
struct period {
  enum class unit { steps, minutes };
  unit in = unit::steps;
  std::int64_t count = 0;

  constexpr period() = default;
  constexpr period(steps n) : in(unit::steps), count(n.count) {}
  constexpr period(minutes n) : in(unit::minutes), count(n.count) {}
  friend constexpr bool operator==(period, period) = default;
};

/// `using namespace tenon::literals;` gives 20_steps, 4'096_tokens, 8_samples, 5_epochs, 10_minutes, 60_seconds, 5_percent, 24_GiB.
namespace literals {
constexpr steps operator""_steps(unsigned long long n) { return steps{static_cast<std::int64_t>(n)}; }
constexpr micro_steps operator""_micro_steps(unsigned long long n) { return micro_steps{static_cast<std::int64_t>(n)}; }
constexpr samples operator""_samples(unsigned long long n) { return samples{static_cast<std::int64_t>(n)}; }
constexpr tokens operator""_tokens(unsigned long long n) { return tokens{static_cast<std::int64_t>(n)}; }
constexpr epochs operator""_epochs(unsigned long long n) { return epochs{static_cast<std::int64_t>(n)}; }
constexpr minutes operator""_minutes(unsigned long long n) { return minutes{static_cast<std::int64_t>(n)}; }
constexpr seconds operator""_seconds(unsigned long long n) { return seconds{static_cast<std::int64_t>(n)}; }
constexpr percent operator""_percent(unsigned long long n) { return percent{static_cast<double>(n)}; }
constexpr percent operator""_percent(long double n) { return percent{static_cast<double>(n)}; }
constexpr bytes operator""_MiB(unsigned long long n) { return bytes{static_cast<std::int64_t>(n) << 20}; }
constexpr bytes operator""_GiB(unsigned long long n) { return bytes{static_cast<std::int64_t>(n) << 30}; }
}  // namespace literals

}  // namespace tenon
