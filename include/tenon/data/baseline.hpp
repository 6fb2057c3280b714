#pragma once
// Unigram and interpolated trigram models: what a neural model has to beat.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/data/detail/hashing.hpp"

namespace tenon::data {

/// Bits that a model needs for some rows.
struct baseline_bits {
  double unigram = 0, trigram = 0;  ///< sum of -log2 p(target)
  std::int64_t targets = 0;
};

/// Unigram and trigram counts, interpolated after Witten and Bell (1991; method C):
///   p(w | u v) = (c(u v w) + T(u v) p(w | v)) / (c(u v) + T(u v)),   p(w | v) likewise on p(w),   p(w) = (c(w) + T /
///   V) / (c + T)
/// where c counts, T is the number of different tokens seen after the context, and V the vocabulary. v is the row's
/// token, u the token of the row before if it belongs to the same document of the same sample, else a mark of its own:
/// the model sees exactly the rows and borders that the neural model sees. Memory: about 25 bytes per different
/// trigram.
class ngram_baseline {
 public:
  /// `vocabulary`: ids lie in [0, vocabulary); at most 2^21 - 1.
  explicit ngram_baseline(std::int64_t vocabulary)
      : vocabulary_(vocabulary), one_(std::size_t(vocabulary)), after_(std::size_t(vocabulary)) {
    if (vocabulary < 1 || vocabulary >= (1 << 21))
      throw error("the trigram baseline takes up to 2^21 - 1 ids, not " + std::to_string(vocabulary));
  }

  /// Adds rows to the counts. Arrays are [samples][sequence] as loader::fill writes them; rows with target -1 are left
  /// out.
  void consume(std::int32_t const* tokens, std::int32_t const* targets, std::int32_t const* document_start,
               std::int64_t samples, std::int64_t sequence) {
    constexpr std::int64_t block = 16;  // rows whose cache lines are fetched together
    std::int64_t const rows = samples * sequence;
    std::uint64_t two[block], three[block], context[block];
    for (std::int64_t begin = 0; begin < rows; begin += block) {
      std::int64_t const end = begin + block < rows ? begin + block : rows;
      for (std::int64_t i = begin; i < end; ++i) {
        auto const k = i - begin;
        context[k] = context_of(tokens, document_start, i, sequence);
        two[k] = pair(tokens[i], targets[i]);
        three[k] = context[k] << 21 | std::uint64_t(std::uint32_t(targets[i]) & 0x1fffff);
        bigrams_.prefetch(two[k]), trigrams_.prefetch(three[k]), contexts_.prefetch(context[k]);
      }
      for (std::int64_t i = begin; i < end; ++i) {
        if (targets[i] < 0) continue;
        auto const k = i - begin;
        auto& one = one_[std::size_t(targets[i])];
        if (one++ == 0) ++seen_;
        ++total_;
        auto& v = after_[std::size_t(tokens[i])];
        if (bigrams_[two[k]]++ == 0) ++v.kinds;
        ++v.count;
        bool const is_new = trigrams_[three[k]]++ == 0;
        auto& uv = contexts_[context[k]];
        ++uv.count;
        if (is_new) ++uv.kinds;
      }
    }
  }

  /// Bits for rows under the counts so far; arrays as for consume.
  baseline_bits bits(std::int32_t const* tokens, std::int32_t const* targets, std::int32_t const* document_start,
                     std::int64_t samples, std::int64_t sequence) const {
    baseline_bits out;
    for (std::int64_t i = 0; i < samples * sequence; ++i) {
      if (targets[i] < 0) continue;
      auto const w = std::size_t(targets[i]);
      double p = total_ == 0 ? 1.0 / double(vocabulary_)
                             : (double(one_[w]) + double(seen_) / double(vocabulary_)) / double(total_ + seen_);
      out.unigram -= std::log2(p);
      auto const& v = after_[std::size_t(tokens[i])];
      if (v.count > 0) {
        auto const* c = bigrams_.find(pair(tokens[i], targets[i]));
        p = ((c ? *c : 0) + v.kinds * p) / (double(v.count) + v.kinds);
      }
      auto const context = context_of(tokens, document_start, i, sequence);
      if (auto const* uv = contexts_.find(context)) {
        auto const* c = trigrams_.find(context << 21 | w);
        p = ((c ? *c : 0) + uv->kinds * p) / (double(uv->count) + uv->kinds);
      }
      out.trigram -= std::log2(p);
      ++out.targets;
    }
    return out;
  }

  /// Rows consumed so far.
  std::int64_t consumed() const { return total_; }
  std::int64_t vocabulary() const { return vocabulary_; }

 private:
  struct context_count {
    std::uint32_t count = 0, kinds = 0;
  };
  static std::uint64_t pair(std::int32_t a, std::int32_t b) {
    return std::uint64_t(std::uint32_t(a)) << 21 | (std::uint32_t(b) & 0x1fffff);
  }
  static std::uint64_t context_of(std::int32_t const* tokens, std::int32_t const* document_start, std::int64_t i,
                                  std::int64_t sequence) {
    bool const has = i % sequence > document_start[i];
    return pair(has ? tokens[i - 1] : 0x1fffff, tokens[i]);
  }
  std::int64_t vocabulary_;
  std::vector<std::uint32_t> one_;
  std::vector<context_count> after_;
  std::int64_t total_ = 0, seen_ = 0;
  detail::flat_map<std::uint32_t> bigrams_, trigrams_;
  detail::flat_map<context_count> contexts_;
};

}  // namespace tenon::data
