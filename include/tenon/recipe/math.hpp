#pragma once
#include <cstdint>

/// The few functions that schedules need at compile time, where the standard ones are not constexpr. The same code runs
/// at launch, so a resumed run computes the same rates.
namespace tenon::math {

/// cos(pi * x) for x in [0, 1], to 2e-16 of the largest value: Taylor series about 0 or pi/2, whichever is nearer.
constexpr double cos_half_turns(double x) {
  constexpr double pi = 3.14159265358979323846;
  if (x < 0) return cos_half_turns(-x);
  if (x > 0.5) return -cos_half_turns(1 - x);  // exact by Sterbenz for x in [1/2, 1]
  if (x > 0.25) {                              // cos(pi x) = sin(pi (1/2 - x))
    double const t = pi * (0.5 - x), t2 = t * t;
    double sum = 0;
    for (int k = 21; k >= 3; k -= 2) sum = (1 + sum) * (-t2 / (k * (k - 1)));
    return t + t * sum;
  }
  double const t = pi * x, t2 = t * t;
  double sum = 0;
  for (int k = 22; k >= 2; k -= 2) sum = (1 + sum) * (-t2 / (k * (k - 1)));
  return 1 + sum;
}

/// Square root by Newton's iteration from above, for finite x >= 0, to 1 ulp or so.
constexpr double sqrt(double x) {
  if (!(x > 0)) return 0;
  double r = x > 1 ? x : 1;
  for (;;) {
    double const next = 0.5 * (r + x / r);
    if (!(next < r)) return r;
    r = next;
  }
}

/// Natural logarithm of a finite x > 0, to 2 ulp or so: x = m * 2^e with m in [1/sqrt 2, sqrt 2], then
/// ln m = 2 artanh((m - 1) / (m + 1)) by its series.
constexpr double log(double x) {
  constexpr double ln2 = 0.69314718055994530942;
  int e = 0;
  while (x > 1.41421356237309504880) x /= 2, ++e;
  while (x < 0.70710678118654752440) x *= 2, --e;
  double const t = (x - 1) / (x + 1), t2 = t * t;
  double sum = 0;
  for (int k = 23; k >= 3; k -= 2) sum = (sum + 1.0 / k) * t2;
  return e * ln2 + 2 * (t + t * sum);
}

/// Share of the way from update number `from` to the last, `total`; 1 beyond it and where there is no way to go.
constexpr double progress(std::int64_t n, std::int64_t from, std::int64_t total) {
  if (n >= total || total <= from) return 1;
  return static_cast<double>(n - from) / static_cast<double>(total - from);
}

}  // namespace tenon::math
