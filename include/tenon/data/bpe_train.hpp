#pragma once
// Training of a byte-level BPE (Sennrich, Haddow, Birch 2016): the most frequent pair becomes a token, again and again.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <queue>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/data/detail/hashing.hpp"
#include "tenon/data/splitter.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/data/tokenizer_json.hpp"

namespace tenon::data {

/// What is trained.
struct bpe_options {
  std::int64_t vocabulary = 4'096;  ///< ids, the end-of-text token and the 256 bytes included; at least 257
  std::int64_t min_count = 2;       ///< a pair seen less often is not merged; training then stops early
  std::size_t max_piece = 1'024;    ///< pieces of more bytes are left out of training (never out of encoding)
  std::string split = std::string(default_split);
  std::string end_of_text = "<|end_of_text|>";
};

/// Counts the pieces of the texts it is given, then trains. The result does not depend on the order of the texts nor on
/// threads: equal counts are decided by the smaller pair of ids. With min_count 1 or more it makes the merges that
/// `tokenizers.trainers.BpeTrainer` makes with the same split, min_frequency and the byte alphabet.
class bpe_trainer {
 public:
  explicit bpe_trainer(bpe_options options) : o_(std::move(options)), splitter_(split_step{o_.split}) {
    if (o_.vocabulary < 257)
      throw error("a byte-level vocabulary needs at least 257 entries, " + std::to_string(o_.vocabulary) +
                  " were asked for");
    if (o_.min_count < 1) throw error("min_count must be at least 1");
  }

  /// Adds `texts` (well-formed UTF-8), cut on up to `threads` threads.
  void add(std::vector<std::string_view> const& texts, int threads = 1) {
    if (threads <= 1 || texts.size() < 2) return count(texts, counts_);
    std::vector<table> parts(std::size_t(threads), table(1 << 12));
    std::vector<std::exception_ptr> failures{std::size_t(threads)};
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) {
      pool.emplace_back([&, t] {
        try {
          for (std::size_t i; (i = next++) < texts.size();) count({texts[i]}, parts[std::size_t(t)]);
        } catch (...) {
          failures[std::size_t(t)] = std::current_exception();
        }
      });
    }
    for (auto& t : pool) t.join();
    for (auto const& f : failures) {
      if (f) std::rethrow_exception(f);
    }
    for (auto const& part : parts)
      part.for_each([&](std::string_view piece, std::int64_t n) { counts_.add(piece, n); });
  }

  /// Different pieces counted so far.
  std::int64_t pieces() const { return std::int64_t(counts_.size()); }
  /// Bytes of pieces longer than max_piece, which were left out.
  std::int64_t left_out_bytes() const { return left_out_; }

  /// Trains on what was added. May give fewer ids than asked for when no pair is left that occurs min_count times.
  /// `progress(done, total)` is called now and then and may throw to stop.
  template <class Progress>
  tokenizer train(Progress&& progress) const {
    struct word {
      std::uint32_t first, length;
      std::int64_t count;
    };
    struct pair_state {
      std::int64_t count = 0;
      std::vector<std::uint32_t> words;
    };
    tokenizer_definition d;
    d.end_of_text = o_.end_of_text;
    d.splits = {split_step{o_.split}};
    d.added = {{0, o_.end_of_text, true, false}};
    d.tokens = {o_.end_of_text};
    std::vector<std::pair<std::string, int>> alphabet;  // in the order of its characters, as `tokenizers` numbers it
    for (int b = 0; b < 256; ++b) alphabet.emplace_back(detail::byte_alphabet()[std::size_t(b)], b);
    std::sort(alphabet.begin(), alphabet.end());
    std::int32_t byte_id[256];
    std::unordered_map<std::string, std::int32_t> ids;
    for (auto const& [text, b] : alphabet) {
      byte_id[b] = std::int32_t(d.tokens.size());
      d.tokens.emplace_back(1, char(b));
      ids[d.tokens.back()] = byte_id[b];
    }

    std::vector<std::int32_t> symbols;
    std::vector<word> words;
    counts_.for_each([&](std::string_view piece, std::int64_t n) {
      if (piece.size() < 2) return;
      words.push_back({std::uint32_t(symbols.size()), std::uint32_t(piece.size()), n});
      for (char c : piece) symbols.push_back(byte_id[std::uint8_t(c)]);
    });
    if (symbols.size() > 0xffffffffu)
      throw error("the tokenizer's training sample holds over 4 GB of different pieces; make the sample smaller");

    using key_type = std::uint64_t;
    auto key = [](std::int32_t a, std::int32_t b) { return key_type(std::uint32_t(a)) << 32 | std::uint32_t(b); };
    detail::flat_map<std::uint32_t> index(1 << 16);
    std::vector<pair_state> pairs(1);
    auto state = [&](key_type k) -> pair_state& {
      auto& i = index[k];
      if (i == 0) i = std::uint32_t(pairs.size()), pairs.emplace_back();
      return pairs[i];
    };
    auto occurs = [&](pair_state& p, std::uint32_t w) {
      if (p.words.empty() || p.words.back() != w) p.words.push_back(w);
    };
    for (std::uint32_t w = 0; w < words.size(); ++w) {
      for (std::uint32_t i = 0; i + 1 < words[w].length; ++i) {
        auto& p = state(key(symbols[words[w].first + i], symbols[words[w].first + i + 1]));
        p.count += words[w].count;
        occurs(p, w);
      }
    }
    struct item {
      std::int64_t count;
      key_type pair;
      bool operator<(item const& o) const { return count != o.count ? count < o.count : pair > o.pair; }
    };
    std::priority_queue<item> heap;
    index.for_each([&](key_type k, std::uint32_t i) { heap.push({pairs[i].count, k}); });

    std::vector<key_type> touched;
    while (std::int64_t(d.tokens.size()) < o_.vocabulary && !heap.empty()) {
      item const top = heap.top();
      heap.pop();
      auto* p = &pairs[*index.find(top.pair)];
      if (top.count != p->count) {  // an old entry: put it back where it belongs now
        if (p->count > 0) heap.push({p->count, top.pair});
        continue;
      }
      if (top.count < o_.min_count) break;
      auto const a = std::int32_t(top.pair >> 32), b = std::int32_t(top.pair & 0xffffffffu);
      std::string text = d.tokens[std::size_t(a)] + d.tokens[std::size_t(b)];
      auto const [at, is_new] = ids.try_emplace(text, std::int32_t(d.tokens.size()));
      std::int32_t const made = at->second;
      if (is_new) d.tokens.push_back(std::move(text));
      d.merges.emplace_back(a, b);
      auto const where = std::move(p->words);
      p->words.clear();
      p->count = 0;
      touched.clear();
      for (auto w : where) {
        auto& it = words[w];
        std::int32_t* s = symbols.data() + it.first;
        auto change = [&](std::int32_t x, std::int32_t y, std::int64_t n) {
          key_type const k = key(x, y);
          if (k == top.pair) return;
          auto& q = state(k);
          q.count += n;
          if (n > 0) occurs(q, w), touched.push_back(k);
        };
        std::uint32_t out = 0;
        for (std::uint32_t i = 0; i < it.length;) {
          if (i + 1 < it.length && s[i] == a && s[i + 1] == b) {
            if (out > 0) change(s[out - 1], a, -it.count), change(s[out - 1], made, it.count);
            if (i + 2 < it.length) change(b, s[i + 2], -it.count), change(made, s[i + 2], it.count);
            s[out++] = made;
            i += 2;
          } else {
            s[out++] = s[i++];
          }
        }
        it.length = out;
      }
      std::sort(touched.begin(), touched.end());
      touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
      for (auto k : touched) {
        if (auto const n = pairs[*index.find(k)].count; n > 0) heap.push({n, k});
      }
      if (d.merges.size() % 64 == 0) progress(std::int64_t(d.tokens.size()), o_.vocabulary);
    }
    return tokenizer(std::move(d));
  }
  /// Trains without progress.
  tokenizer train() const {
    return train([](std::int64_t, std::int64_t) {});
  }

 private:
  // piece -> count; the texts lie one behind the other in an arena
  class table {
   public:
    explicit table(std::size_t capacity = 1 << 16) : entries_(capacity) {}
    std::size_t size() const { return used_; }
    void add(std::string_view piece, std::int64_t n) {
      std::uint64_t const hash = detail::hash_bytes(piece.data(), piece.size());
      std::size_t const mask = entries_.size() - 1;
      std::size_t i = hash & mask;
      for (; entries_[i].count != 0; i = (i + 1) & mask) {
        if (entries_[i].hash == hash && entries_[i].bytes == piece.size() && view(entries_[i]) == piece)
          return void(entries_[i].count += n);
      }
      entries_[i] = {hash, arena_.size(), n, std::uint32_t(piece.size())};
      arena_.append(piece);
      if (++used_ * 2 > entries_.size()) grow();
    }
    template <class F>
    void for_each(F f) const {
      for (auto const& e : entries_) {
        if (e.count != 0) f(view(e), e.count);
      }
    }

   private:
    struct entry {
      std::uint64_t hash = 0;
      std::size_t text = 0;
      std::int64_t count = 0;
      std::uint32_t bytes = 0;
    };
    std::string_view view(entry const& e) const { return std::string_view(arena_).substr(e.text, e.bytes); }
    void grow() {
      std::vector<entry> old(entries_.size() * 2);
      old.swap(entries_);
      for (auto const& e : old) {
        if (e.count == 0) continue;
        std::size_t i = e.hash & (entries_.size() - 1);
        while (entries_[i].count != 0) i = (i + 1) & (entries_.size() - 1);
        entries_[i] = e;
      }
    }
    std::vector<entry> entries_;
    std::string arena_;
    std::size_t used_ = 0;
  };

  void count(std::vector<std::string_view> const& texts, table& into) {
    splitter::workspace w;
    std::int64_t left_out = 0;
    for (auto text : texts) {
      splitter_.split(text, w, [&](std::string_view piece) {
        if (piece.size() > o_.max_piece)
          left_out += std::int64_t(piece.size());
        else
          into.add(piece, 1);
      });
    }
    left_out_ += left_out;
  }

  bpe_options o_;
  splitter splitter_;
  table counts_;
  std::atomic<std::int64_t> left_out_{0};
};

}  // namespace tenon::data
