#pragma once
// Several sources in one order: which source each sample of the run comes from, and the loader of such a run.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/cursor.hpp"
#include "tenon/data/loader.hpp"

namespace tenon::data {

/// Which source sample n of a run belongs to: a fixed pattern of `period` samples that repeats.
///
/// Each source gets a whole number of the period's samples, its weight's part rounded by largest remainder (a tie to
/// the lower index). They are spread evenly: a source's k-th sample of share a may come at floor(k period / a) or
/// later, and of those that may come, the one with the earliest deadline (k + 1) period / a does
/// (earliest-deadline-first on such windows meets every deadline: Liu and Layland 1973; Baruah et al. 1996). So of the
/// first n samples each source has n a / period, to less than 1.
class mixture_pattern {
 public:
  static constexpr std::int64_t period = 1024;

  /// `weights` count relative to their sum. Errors: none given; one that is not above 0, or so small beside the others
  /// that it would get no sample.
  explicit mixture_pattern(std::span<double const> weights) : shares_(weights.size()) {
    double sum = 0;
    for (std::size_t s = 0; s < weights.size(); ++s) {
      if (!(weights[s] > 0 && weights[s] <= 1e300))
        throw error("weight " + std::to_string(s) + " of the mixture is not a number above 0");
      sum += weights[s];
    }
    if (weights.empty()) throw error("a mixture needs at least one weight");
    std::vector<double> rest(weights.size());
    std::int64_t given = 0;
    for (std::size_t s = 0; s < weights.size(); ++s) {
      double const part = weights[s] / sum * double(period);
      shares_[s] = std::int64_t(std::floor(part));
      rest[s] = part - double(shares_[s]);
      given += shares_[s];
    }
    for (; given < period; ++given) {
      auto const s = std::size_t(std::max_element(rest.begin(), rest.end()) - rest.begin());
      ++shares_[s], rest[s] = -1;
    }
    for (std::size_t s = 0; s < shares_.size(); ++s)
      if (shares_[s] == 0)
        throw error("weight " + std::to_string(s) + " of the mixture is below 1/" + std::to_string(period) +
                    " of their sum, so its source would never be seen");

    std::vector<std::int64_t> count(shares_.size(), 0);
    for (std::int64_t n = 0; n < period; ++n) {
      before_.insert(before_.end(), count.begin(), count.end());
      std::size_t next = shares_.size();
      for (std::size_t s = 0; s < shares_.size(); ++s) {
        if (count[s] * period >= (n + 1) * shares_[s]) continue;  // comes later
        if (next == shares_.size() || (count[s] + 1) * shares_[next] < (count[next] + 1) * shares_[s]) next = s;
      }
      source_.push_back(std::uint16_t(next));
      ++count[next];
    }
  }

  std::size_t sources() const { return shares_.size(); }
  /// Samples of each source in a period; they sum to `period`.
  std::vector<std::int64_t> const& shares() const { return shares_; }
  /// The source of sample `n`, 0 or more.
  std::size_t source_of(std::int64_t n) const { return source_[std::size_t(n % period)]; }
  /// Samples of source `s` among the first `n` of the run.
  std::int64_t before(std::size_t s, std::int64_t n) const {
    return n / period * shares_[s] + before_[std::size_t(n % period) * shares_.size() + s];
  }

 private:
  std::vector<std::int64_t> shares_;
  std::vector<std::uint16_t> source_;  // [period]
  std::vector<std::uint16_t> before_;  // [period][sources]
};

/// Gives the samples of several sources in the order of a mixture_pattern.
///
/// Each source keeps its own loader, with its own order and its own epochs: a small source begins again while a large
/// one is still in its first pass. The cursor is {0, 0, n}, n being the number of samples since the start of the run; a
/// mixture has no stages, and no epoch of its own. What sample n holds is a function of the stores, the seed, the
/// weights' shares and n alone. Not for concurrent use; a copy per thread is.
class mixture_loader {
 public:
  /// One loader per weight. Errors: those of mixture_pattern; another number of loaders than of weights; loaders of
  /// different sequence lengths.
  mixture_loader(std::vector<loader> sources, std::span<double const> weights)
      : sources_(std::move(sources)), pattern_(weights) {
    if (sources_.size() != pattern_.sources())
      throw error("a mixture of " + std::to_string(pattern_.sources()) + " weights needs as many sources, and got " +
                  std::to_string(sources_.size()));
    for (auto const& s : sources_)
      if (s.sequence() != sources_.front().sequence()) throw error("the sources of a mixture need one sequence length");
  }

  std::int64_t sequence() const { return sources_.front().sequence(); }
  std::vector<loader> const& sources() const { return sources_; }
  mixture_pattern const& pattern() const { return pattern_; }
  /// SHA-256 (hexadecimal) of the hashes of the stores and their shares.
  std::string hash() const {
    sha256 h;
    h.update("tenon mixture 1\n");
    for (std::size_t s = 0; s < sources_.size(); ++s)
      h.update(std::to_string(pattern_.shares()[s]) + " " + sources_[s].corpus().hash() + "\n");
    return h.hex();
  }

  /// Samples from the start of the run to the cursor. Errors: a cursor that is not of a mixture.
  std::int64_t samples_before(cursor at) const {
    if (at.stage != 0 || at.epoch != 0 || at.sample < 0)
      throw error("the data cursor (stage " + std::to_string(at.stage) + ", epoch " + std::to_string(at.epoch) +
                  ") is not of a mixture, which counts samples only; it comes from other data");
    return at.sample;
  }
  /// The cursor `samples` samples after the start of the run.
  cursor at_sample(std::int64_t samples) const { return {0, 0, samples}; }
  /// The cursor `count` samples (0 or more) after `at`.
  cursor advance(cursor at, std::int64_t count) const { return at_sample(samples_before(at) + count); }
  /// Where source `s` stands at the cursor: the place of its next sample in its own order.
  cursor place(std::size_t s, cursor at) const { return sources_[s].at_sample(pattern_.before(s, samples_before(at))); }

  /// Writes samples `at`, ..., `at + count - 1`. Each array is [count][sequence]; see loader. Errors: a cursor that is
  /// not of a mixture.
  void fill(cursor at, std::int64_t count, std::int32_t* tokens, std::int32_t* targets, std::int32_t* positions,
            std::int32_t* document_start) {
    auto const rows = sequence();
    for (std::int64_t i = 0; i < count; ++i) {
      auto const s = pattern_.source_of(samples_before(at) + i);
      sources_[s].fill(place(s, advance(at, i)), 1, tokens + i * rows, targets + i * rows, positions + i * rows,
                       document_start + i * rows);
    }
  }

 private:
  std::vector<loader> sources_;
  mixture_pattern pattern_;
};

}  // namespace tenon::data
