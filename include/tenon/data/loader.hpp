#pragma once
// Order and packing: from a store and a cursor to the rows of a micro-batch.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/cursor.hpp"
#include "tenon/data/detail/hashing.hpp"
#include "tenon/data/packing.hpp"
#include "tenon/data/store.hpp"

namespace tenon::data {

/// What a curriculum stage orders documents by.
enum class difficulty_by {
  length,  ///< number of tokens
  stored,  ///< the number that came with the document (source_options::difficulty_field)
};

/// One stage: which documents, and when it ends. It ends at whichever of the two bounds comes first; the last stage has
/// none.
struct curriculum_stage {
  std::int64_t until_epoch =
      -1;  ///< ends when this many epochs (since the start of the run) are done; -1: no such bound
  std::int64_t until_sample =
      -1;  ///< ends at this many samples since the start (steps x global batch); -1: no such bound
  double low = 0.0,
         high = 1.0;  ///< quantiles of difficulty among the training documents: rank / documents in [low, high)
};

/// A curriculum as plain data. No stages: one stage of everything.
struct curriculum_plan {
  difficulty_by by = difficulty_by::length;
  std::vector<curriculum_stage> stages = {};
};

namespace detail {

/// A keyed bijection of [0, n): a Feistel network of six rounds on the next even power of two, walked until it lands
/// below n.
class permutation {
 public:
  permutation() = default;
  permutation(std::uint64_t n, std::uint64_t key) : n_(n), key_(key) {
    while ((std::uint64_t(1) << (2 * half_)) < n) ++half_;
  }
  std::uint64_t operator()(std::uint64_t i) const {
    std::uint64_t const mask = (std::uint64_t(1) << half_) - 1;
    do {
      std::uint64_t left = i >> half_, right = i & mask;
      for (std::uint64_t round = 0; round < 6; ++round) {
        left ^= mix(key_ + round * 0x9e3779b97f4a7c15ULL, right) & mask;
        std::swap(left, right);
      }
      i = left << half_ | right;
    } while (i >= n_);
    return i;
  }

 private:
  std::uint64_t n_ = 1, key_ = 0;
  int half_ = 1;
};

}  // namespace detail

/// Gives the samples of one side of a store.
///
/// *Rows.* A document of n tokens t[0..n-1], the last being end of text, makes n rows: the first row's token is the
/// tokenizer's begin_of_text (end of text, unless it has one of its own), row k's is t[k-1], and row k's target is
/// t[k]. So every token of every document is predicted once per epoch, and a text can be generated from that token
/// alone. *Packing.* The documents of the stage, in an order drawn for the epoch, lie one behind the other; the rows
/// are cut into samples of `sequence`. A document that crosses a cut goes on in the next sample without its past:
/// positions and document_start restart there. The rows that the last sample lacks are padding: token begin_of_text,
/// target -1, a document of their own. Nothing is dropped. *Order.* The samples are then visited in an order drawn for
/// the epoch too, so that a long document does not fill one batch. Both orders are pure functions of (store hash, seed,
/// stage, epoch); the held-out side has one order for ever.
///
/// *Conversations* (packing::whole) are never parted: each lies whole in one sample, a document of its own beside others,
/// and the rest of the sample is padding. Their rows are their tokens but the last, row k's target is token k + 1 where it
/// is to be learnt, else -1. Which ones share a sample is fixed (pack_whole), the order of the samples is drawn for each
/// epoch. One that is longer than a sample is cut at its end; one whose answers all lie behind the cut is left out.
///
/// State is the order of one epoch (16 bytes per document), recomputed from the key when the epoch changes: going on
/// from a cursor costs one such computation. Not for concurrent use; a copy per thread is.
class loader {
 public:
  /// `begin_of_text`: the tokenizer's. Errors: a sequence below 1; a stage without documents, without an end or out of
  /// order; a store without conversations that could be trained on.
  loader(store s, split side, std::int64_t sequence, std::uint64_t seed, std::int32_t begin_of_text,
         curriculum_plan const& plan = {}, packing how = packing::stream)
      : store_(std::move(s)), side_(side), how_(how), sequence_(sequence), begin_of_text_(begin_of_text) {
    if (sequence < 1)
      throw error("a sample needs at least one row, the sequence length is " + std::to_string(sequence));
    sha256 h;
    std::uint64_t const words[2] = {seed, std::uint64_t(side)};
    h.update(store_.hash()), h.update(words, sizeof words);
    auto const digest = h.digest();
    for (int i = 0; i < 8; ++i) key_ = key_ << 8 | digest[std::size_t(i)];

    std::vector<std::uint32_t> all;
    for (std::int64_t i = 0; i < store_.documents(); ++i) {
      if (store_.side(i) == side) all.push_back(std::uint32_t(i));
    }
    if (all.empty()) throw error("the store has no document on the side that was asked for");
    if (how_ == packing::whole) leave_out_unanswered(all);
    auto stages = plan.stages;
    if (stages.empty() || side == split::held_out) stages.assign(1, {});
    bool const ranked =
        std::any_of(stages.begin(), stages.end(), [](auto const& s) { return s.low > 0 || s.high < 1; });
    if (ranked) rank(all, plan.by);
    std::int64_t epoch = 0, sample = 0;
    for (std::size_t i = 0; i < stages.size(); ++i) {
      auto const& s = stages[i];
      std::string const name = "curriculum stage " + std::to_string(i);
      bool const last = i + 1 == stages.size();
      if (last && (s.until_epoch >= 0 || s.until_sample >= 0))
        throw error(name + " is the last one and must not have an end");
      if (!last && s.until_epoch < 0 && s.until_sample < 0)
        throw error(name + " has no end, so the next would never begin; give until_epoch or until_sample");
      if (!(s.low >= 0 && s.low < s.high && s.high <= 1)) throw error(name + " needs quantiles 0 <= low < high <= 1");
      stage made;
      auto const at = [&](double q) { return std::size_t(std::llround(q * double(all.size()))); };
      made.documents.assign(all.begin() + std::ptrdiff_t(at(s.low)), all.begin() + std::ptrdiff_t(at(s.high)));
      if (made.documents.empty())
        throw error(name + " has no documents: " + std::to_string(all.size()) + " are too few for its quantiles");
      if (ranked) std::sort(made.documents.begin(), made.documents.end());
      if (how_ == packing::whole) {
        pack(made);
      } else {
        for (auto d : made.documents) made.rows += store_.length(d);
        made.samples = (made.rows + sequence - 1) / sequence;
      }
      made.first_epoch = epoch, made.first_sample = sample;
      if (!last) {
        constexpr auto never = std::int64_t(1) << 62;
        std::int64_t const by_epoch = s.until_epoch < 0 ? never : sample + (s.until_epoch - epoch) * made.samples;
        std::int64_t const end = std::min(by_epoch, s.until_sample < 0 ? never : s.until_sample);
        if (end <= sample) throw error(name + " ends before it begins; the ends of the stages must increase");
        epoch += (end - sample + made.samples - 1) / made.samples;
        sample = end;
        made.end_sample = end;
      }
      stages_.push_back(std::move(made));
    }
  }

  std::int64_t sequence() const { return sequence_; }
  store const& corpus() const { return store_; }
  /// What became of the conversations of this side (packing::whole).
  packing_counts const& packed() const { return packed_; }
  /// Samples of a whole epoch of the cursor's stage, the padded one included.
  std::int64_t samples_in_epoch(cursor at) const { return at_stage(at).samples; }
  /// Rows with a target in a whole epoch of the cursor's stage.
  std::int64_t targets_in_epoch(cursor at) const { return at_stage(at).rows; }
  /// Samples from the start of the run to the cursor.
  std::int64_t samples_before(cursor at) const {
    auto const& s = at_stage(at);
    return s.first_sample + (at.epoch - s.first_epoch) * s.samples + at.sample;
  }
  /// The cursor `samples` samples after the start of the run.
  cursor at_sample(std::int64_t samples) const {
    std::size_t i = 0;
    while (i + 1 < stages_.size() && samples >= stages_[i].end_sample) ++i;
    auto const& s = stages_[i];
    std::int64_t const past = samples - s.first_sample;
    return {std::int64_t(i), s.first_epoch + past / s.samples, past % s.samples};
  }
  /// The cursor `count` samples (0 or more) after `at`.
  cursor advance(cursor at, std::int64_t count) const { return at_sample(samples_before(at) + count); }

  /// Writes samples `at`, ..., `at + count - 1` (going on into the next epoch or stage where one ends). Each array is
  /// [count][sequence]. Errors: a cursor that is not of this loader.
  void fill(cursor at, std::int64_t count, std::int32_t* tokens, std::int32_t* targets, std::int32_t* positions,
            std::int32_t* document_start) {
    for (std::int64_t i = 0; i < count; ++i) {
      auto const& s = at_stage(at);
      prepare(at);
      auto const which = std::int64_t(samples_(std::uint64_t(at.sample)));
      auto const to = i * sequence_;
      if (how_ == packing::whole)
        conversation_block(s.packs[std::size_t(which)], tokens + to, targets + to, positions + to, document_start + to);
      else
        row_block(which * sequence_, s.rows, tokens + to, targets + to, positions + to, document_start + to);
      at = advance(at, 1);
    }
  }

  /// Rows that carry a target: what a loss divides by.
  static std::int64_t count_targets(std::int32_t const* targets, std::int64_t rows) {
    return std::count_if(targets, targets + rows, [](std::int32_t t) { return t >= 0; });
  }

 private:
  struct stage {
    std::vector<std::uint32_t> documents;
    std::vector<std::vector<std::uint32_t>> packs;  ///< packing::whole: the conversations of each sample
    std::int64_t rows = 0, samples = 0;             ///< rows that have a target
    std::int64_t first_epoch = 0, first_sample = 0, end_sample = std::int64_t(1) << 62;
  };

  void rank(std::vector<std::uint32_t>& documents, difficulty_by by) const {
    if (by == difficulty_by::stored) {
      for (auto d : documents) {
        if (!std::isfinite(store_.difficulty(d)))
          throw error("the curriculum orders by difficulty, but document " + std::to_string(d) +
                      " came without one; name the difficulty field of the data or order by length");
      }
    }
    std::sort(documents.begin(), documents.end(), [&](std::uint32_t a, std::uint32_t b) {
      if (by == difficulty_by::stored) {
        if (store_.difficulty(a) != store_.difficulty(b)) return store_.difficulty(a) < store_.difficulty(b);
      } else if (store_.length(a) != store_.length(b)) {
        return store_.length(a) < store_.length(b);
      }
      return a < b;
    });
  }

  stage const& at_stage(cursor at) const {
    if (at.stage < 0 || at.stage >= std::int64_t(stages_.size()))
      throw error("the data cursor names stage " + std::to_string(at.stage) + ", but the curriculum has " +
                  std::to_string(stages_.size()));
    auto const& s = stages_[std::size_t(at.stage)];
    if (at.epoch < s.first_epoch || at.sample < 0 || at.sample >= s.samples)
      throw error("the data cursor does not lie in its stage; it comes from other data");
    return s;
  }

  // Rows of a conversation: its last token is predicted and not read.
  std::int64_t rows_of(std::uint32_t d) const { return std::min(store_.length(d) - 1, sequence_); }

  // Takes the conversations without a target in their rows out of the list, and counts what becomes of the others.
  void leave_out_unanswered(std::vector<std::uint32_t>& all) {
    std::vector<std::int32_t> row;
    std::erase_if(all, [&](std::uint32_t d) {
      row.resize(std::size_t(rows_of(d)));
      if (!row.empty()) store_.copy(d, 1, rows_of(d), row.data());
      auto const targets = std::count_if(row.begin(), row.end(), is_learnt);
      if (targets == 0) return ++packed_.left_out, true;
      ++packed_.conversations, packed_.cut += store_.length(d) - 1 > sequence_;
      packed_.rows += rows_of(d), packed_.targets += targets;
      if (targets_of_.size() <= d) targets_of_.resize(std::size_t(d) + 1);
      targets_of_[d] = std::int32_t(targets);
      return false;
    });
    if (all.empty())
      throw error("none of " + std::to_string(packed_.left_out) + " conversations of the " +
                  (side_ == split::train ? "training" : "held-out") + " side has an answer within " +
                  std::to_string(sequence_) + " tokens; give longer samples (batch.sequence), or other conversations");
  }

  void pack(stage& s) const {
    std::vector<packed_document> list;
    for (auto d : s.documents) list.push_back({d, rows_of(d)}), s.rows += targets_of_[d];
    s.packs = pack_whole(std::move(list), sequence_);
    s.samples = std::int64_t(s.packs.size());
  }

  // Draws the two orders of the cursor's epoch.
  void prepare(cursor at) {
    if (at.stage == drawn_stage_ && at.epoch == drawn_epoch_) return;
    auto const& s = stages_[std::size_t(at.stage)];
    bool const fixed = side_ == split::held_out;
    std::uint64_t const key =
        detail::mix(key_, fixed ? 0 : detail::mix(std::uint64_t(at.stage), std::uint64_t(at.epoch)));
    samples_ = detail::permutation(std::uint64_t(s.samples), detail::mix(key, ~std::uint64_t{0}));
    drawn_stage_ = at.stage, drawn_epoch_ = at.epoch;
    if (how_ == packing::whole) return;
    order_ = s.documents;
    for (std::size_t i = order_.size(); i > 1; --i) {  // Fisher-Yates on a counter-based generator
      std::uint64_t const draw = detail::mix(key, i);
      std::swap(order_[i - 1], order_[std::size_t(static_cast<unsigned __int128>(draw) * i >> 64)]);
    }
    ends_.resize(order_.size());
    std::int64_t row = 0;
    for (std::size_t i = 0; i < order_.size(); ++i) ends_[i] = row += store_.length(order_[i]);
  }

  // A sample of whole conversations.
  void conversation_block(std::vector<std::uint32_t> const& pack, std::int32_t* tokens, std::int32_t* targets,
                          std::int32_t* positions, std::int32_t* document_start) const {
    std::int64_t r = 0;
    for (auto const d : pack) {
      auto const n = rows_of(d);
      store_.copy(d, 0, n, tokens + r);
      store_.copy(d, 1, n, targets + r);
      std::transform(tokens + r, tokens + r + n, tokens + r, id_of);
      std::transform(targets + r, targets + r + n, targets + r, [](std::int32_t t) { return is_learnt(t) ? t : -1; });
      std::iota(positions + r, positions + r + n, 0);
      std::fill(document_start + r, document_start + r + n, std::int32_t(r));
      r += n;
    }
    pad(r, tokens, targets, positions, document_start);
  }

  // Rows [r, sequence) have nothing to learn: a document of their own.
  void pad(std::int64_t r, std::int32_t* tokens, std::int32_t* targets, std::int32_t* positions,
           std::int32_t* document_start) const {
    std::iota(positions + r, positions + sequence_, 0);
    std::fill(tokens + r, tokens + sequence_, begin_of_text_);
    std::fill(targets + r, targets + sequence_, -1);
    std::fill(document_start + r, document_start + sequence_, std::int32_t(r));
  }

  // Rows [row, row + sequence) of the epoch's stream.
  void row_block(std::int64_t row, std::int64_t rows, std::int32_t* tokens, std::int32_t* targets,
                 std::int32_t* positions, std::int32_t* document_start) const {
    auto i = std::size_t(std::upper_bound(ends_.begin(), ends_.end(), row) - ends_.begin());
    std::int64_t r = 0;
    for (; r < sequence_ && row + r < rows; ++i) {
      std::int64_t const length = store_.length(order_[i]);
      std::int64_t const from = row + r - (ends_[i] - length);  // rows of this document that lie in earlier samples
      std::int64_t const take = std::min(length - from, sequence_ - r);
      store_.copy(order_[i], from, take, targets + r);
      if (from > 0)
        store_.copy(order_[i], from - 1, 1, tokens + r);
      else
        tokens[r] = begin_of_text_;
      std::copy(targets + r, targets + r + take - 1, tokens + r + 1);
      std::iota(positions + r, positions + r + take, 0);
      std::fill(document_start + r, document_start + r + take, std::int32_t(r));
      r += take;
    }
    pad(r, tokens, targets, positions, document_start);
  }

  store store_;
  split side_;
  packing how_;
  packing_counts packed_;
  std::vector<std::int32_t> targets_of_;  // [document], of conversations
  std::int64_t sequence_;
  std::int32_t begin_of_text_;
  std::uint64_t key_ = 0;
  std::vector<stage> stages_;
  std::int64_t drawn_stage_ = -1, drawn_epoch_ = -1;
  std::vector<std::uint32_t> order_;
  std::vector<std::int64_t> ends_;
  detail::permutation samples_;
};

}  // namespace tenon::data
