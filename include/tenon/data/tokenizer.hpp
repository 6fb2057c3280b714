#pragma once
// Byte-level byte-pair encoding: the immutable tokenizer, and the encoder with its per-thread memory.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/core/sha256.hpp"
#include "tenon/data/detail/hashing.hpp"
#include "tenon/data/splitter.hpp"
#include "tenon/data/utf8.hpp"

namespace tenon::data {

/// A token that stands outside of the merges, such as <|end_of_text|>.
struct added_token {
  std::int32_t id = -1;
  std::string content = {};
  bool special = true;      ///< left out by decode(..., skip_special)
  bool normalized = false;  ///< looked for after the tokens that are not normalized
};

/// Everything that defines a tokenizer; what `tokenizer` is made from.
struct tokenizer_definition {
  std::vector<std::string> tokens = {};  ///< by id: the bytes of each token; empty where an id is not used
  std::vector<std::pair<std::int32_t, std::int32_t>> merges = {};  ///< in rank order, pairs of ids
  std::vector<split_step> splits = {};
  std::vector<added_token> added = {};
  std::string end_of_text = "<|end_of_text|>";  ///< content of the added token that ends a document
  bool ignore_merges = false;                   ///< a piece that is a token is taken whole, whatever the merges say
  std::vector<std::int32_t> prefix = {}, suffix = {};  ///< what the post-processor puts before and behind a text
  std::string source = {};                             ///< the tokenizer.json that it was read from, or empty
};

/// How text that looks like an added token is encoded.
enum class specials {
  as_text,  ///< as ordinary text: what a training corpus needs, where no document can inject a control token
  parse,    ///< as the added token: what Hugging Face does by default; for prompts
};

/// A byte-level BPE tokenizer. Immutable, cheap to copy, safe to share between threads. Equal on valid UTF-8 to what
/// Hugging Face `tokenizers` makes of the same tokenizer.json, without the post-processor (add_special_tokens=False).
class tokenizer {
 public:
  /// Errors: fewer than the 256 single bytes, a merge whose result is not a token, doubled ids, a split that does not
  /// compile.
  explicit tokenizer(tokenizer_definition definition) : d_(std::make_shared<data>(std::move(definition))) {}

  /// Number of ids: one more than the largest. Logits beyond it are padding.
  std::int64_t size() const { return std::int64_t(d_->definition.tokens.size()); }
  /// The token that ends every document and, as the first input row, begins it.
  std::int32_t end_of_text() const { return d_->end_of_text; }
  /// The token that begins a document where a model's rows are made: the one that the post-processor puts before a
  /// text; where there is none, the end of text of the document before.
  std::int32_t begin_of_text() const {
    auto const& prefix = d_->definition.prefix;
    return prefix.size() == 1 ? prefix[0] : end_of_text();
  }
  /// Bytes of text that `id` stands for; an added token stands for none.
  std::string_view bytes(std::int32_t id) const { return d_->definition.tokens.at(std::size_t(id)); }
  /// Bytes of text per id, [size()]; 0 for added tokens. For bits per byte.
  std::span<std::uint32_t const> byte_lengths() const { return d_->byte_lengths; }
  /// SHA-256 of the canonical text of vocabulary, merges, splits and added tokens: equal if and only if they encode
  /// alike.
  std::string const& fingerprint() const { return d_->fingerprint; }
  tokenizer_definition const& definition() const { return d_->definition; }

  /// Ids of `text`, which must be well-formed UTF-8. One-off use; for much text make an `encoder`.
  std::vector<std::int32_t> encode(std::string_view text, specials how = specials::parse) const;

  /// The bytes that `ids` stand for (not necessarily UTF-8: ids may cut a character). Added tokens appear as their
  /// content unless special and `skip_special`. Errors: an id outside [0, size()) or one that the vocabulary does not
  /// use.
  std::string decode(std::span<std::int32_t const> ids, bool skip_special = false) const {
    std::string out;
    for (auto id : ids) {
      if (id < 0 || id >= size()) {
        throw error("token id " + std::to_string(id) + " is outside the tokenizer's " + std::to_string(size()) +
                    " ids; the ids come from another tokenizer");
      }
      if (auto const* added = d_->added_by_id(id)) {
        if (!(added->special && skip_special)) out += added->content;
      } else {
        out += d_->definition.tokens[std::size_t(id)];
      }
    }
    return out;
  }

 private:
  friend class encoder;
  struct merge {
    std::int32_t rank = 0, result = -1;
  };
  static std::uint64_t key(std::int32_t a, std::int32_t b) {
    return std::uint64_t(std::uint32_t(a)) << 32 | std::uint32_t(b);
  }

  struct data {
    explicit data(tokenizer_definition given) : definition(std::move(given)), merges(definition.merges.size()) {
      auto& d = definition;
      for (auto const& step : d.splits) splitters.emplace_back(step);
      std::vector<char> is_added(d.tokens.size(), 0);
      for (auto const& a : d.added) {
        if (a.id < 0 || std::size_t(a.id) >= d.tokens.size())
          throw error("added token " + a.content + " has no place in the vocabulary");
        if (is_added[std::size_t(a.id)]++) throw error("two added tokens share id " + std::to_string(a.id));
        if (a.content.empty()) throw error("the added token with id " + std::to_string(a.id) + " has no content");
        if (a.content == d.end_of_text) end_of_text = a.id;
      }
      for (auto const* around : {&d.prefix, &d.suffix})
        for (auto const id : *around)
          if (id < 0 || std::size_t(id) >= d.tokens.size())
            throw error("the post-processor adds token " + std::to_string(id) + ", which is not in the vocabulary");
      if (end_of_text < 0) throw error("the tokenizer has no added token " + d.end_of_text + " to end a document with");
      byte_ids.fill(-1);
      for (std::size_t id = 0; id < d.tokens.size(); ++id) {
        byte_lengths.push_back(is_added[id] ? 0 : std::uint32_t(d.tokens[id].size()));
        if (is_added[id] || d.tokens[id].empty()) continue;
        if (d.tokens[id].size() == 1) byte_ids[std::uint8_t(d.tokens[id][0])] = std::int32_t(id);
        pieces.emplace_back(d.tokens[id], std::int32_t(id));
      }
      std::sort(pieces.begin(), pieces.end());
      for (int b = 0; b < 256; ++b) {
        if (byte_ids[std::size_t(b)] < 0) {
          throw error("the vocabulary lacks a token for byte " + std::to_string(b) +
                      ", so not every text could be encoded; use a byte-level BPE");
        }
      }
      for (std::size_t rank = 0; rank < d.merges.size(); ++rank) {
        auto const [a, b] = d.merges[rank];
        auto const found = id_of(d.tokens[std::size_t(a)] + d.tokens[std::size_t(b)]);
        if (found < 0) throw error("merge " + std::to_string(rank) + " makes a text that is not in the vocabulary");
        merges[key(a, b)] = {std::int32_t(rank), found};  // of two equal merges the later counts, as in `tokenizers`
      }
      sha256 h;
      auto number = [&](std::uint64_t x) { h.update(&x, sizeof x); };
      auto text = [&](std::string_view s) { number(s.size()), h.update(s); };
      text("tenon tokenizer 1"), number(d.ignore_merges), number(std::uint64_t(end_of_text));
      number(d.tokens.size());
      for (auto const& t : d.tokens) text(t);
      number(d.merges.size());
      for (auto const& m : d.merges) number(key(m.first, m.second));
      for (auto const& s : d.splits) text(s.pattern), number(s.literal), number(s.keep_gaps);
      for (auto const& a : d.added)
        number(std::uint64_t(a.id)), text(a.content), number(a.special), number(a.normalized);
      if (!d.prefix.empty()) {  // the rows of a document begin with it
        text("prefix");
        for (auto const id : d.prefix) number(std::uint64_t(id));
      }
      fingerprint = h.hex();
    }
    std::int32_t id_of(std::string_view bytes) const {
      auto const at = std::lower_bound(pieces.begin(), pieces.end(), bytes,
                                       [](auto const& p, std::string_view b) { return p.first < b; });
      return at != pieces.end() && at->first == bytes ? at->second : -1;
    }
    added_token const* added_by_id(std::int32_t id) const {
      for (auto const& a : definition.added) {
        if (a.id == id) return &a;
      }
      return nullptr;
    }
    tokenizer_definition definition;
    std::vector<splitter> splitters;
    std::array<std::int32_t, 256> byte_ids;
    std::vector<std::pair<std::string_view, std::int32_t>> pieces;
    detail::flat_map<merge> merges;
    std::vector<std::uint32_t> byte_lengths;
    std::int32_t end_of_text = -1;
    std::string fingerprint;
  };
  std::shared_ptr<data const> d_;
};

/// Turns text into ids with one thread's memory: matcher, merge buffers and a cache of the pieces already seen
/// (bounded). Time is O(n log n) in the length of a piece and linear in the number of pieces, whatever the text.
class encoder {
 public:
  explicit encoder(tokenizer t) : t_(std::move(t)), table_(1 << 16) {
    for (auto const& a : t_.d_->definition.added) (a.normalized ? late_ : early_).push_back(&a);
    for (auto* list : {&early_, &late_}) {
      std::stable_sort(list->begin(), list->end(),
                       [](auto* x, auto* y) { return x->content.size() > y->content.size(); });
    }
    for (auto const& s : t_.d_->splitters) (void)s, workspaces_.emplace_back();
  }

  /// Appends the ids of `text` (well-formed UTF-8, checked by the caller) to `out`.
  template <class Ids>
  void encode(std::string_view text, Ids& out, specials how = specials::as_text) {
    auto plain = [&](std::string_view part) { cut(0, part, out); };
    if (how == specials::as_text) return plain(text);
    find_added(text, early_, out, [&](std::string_view part) { find_added(part, late_, out, plain); });
  }

 private:
  template <class Ids, class Rest>
  static void find_added(std::string_view text, std::vector<added_token const*> const& list, Ids& out, Rest rest) {
    if (text.empty()) return;
    std::array<bool, 256> starts{};
    for (auto const* a : list) starts[std::uint8_t(a->content[0])] = true;
    std::size_t done = 0;
    for (std::size_t i = 0; i < text.size();) {
      if (starts[std::uint8_t(text[i])]) {
        auto const hit = std::find_if(list.begin(), list.end(),
                                      [&](auto* a) { return text.substr(i, a->content.size()) == a->content; });
        if (hit != list.end()) {
          if (i > done) rest(text.substr(done, i - done));
          out.push_back((*hit)->id);
          done = i += (*hit)->content.size();
          continue;
        }
      }
      ++i;
    }
    if (done < text.size()) rest(text.substr(done));
  }

  template <class Ids>
  void cut(std::size_t level, std::string_view text, Ids& out) {
    if (text.empty()) return;
    if (level == workspaces_.size()) return piece(text, out);
    t_.d_->splitters[level].split(text, workspaces_[level], [&](std::string_view part) { cut(level + 1, part, out); });
  }

  template <class Ids>
  void piece(std::string_view text, Ids& out) {
    if (text.size() == 1) return void(out.push_back(t_.d_->byte_ids[std::uint8_t(text[0])]));
    if (text.size() > 64) {
      merge_piece(text);
      out.insert(out.end(), ids_.begin(), ids_.end());
      return;
    }
    std::uint64_t const hash = detail::hash_bytes(text.data(), text.size());
    std::size_t const mask = table_.size() - 1;
    for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
      auto& e = table_[i];
      if (e.bytes == 0) break;
      if (e.hash == std::uint32_t(hash >> 32) && e.bytes == text.size() &&
          std::equal(text.begin(), text.end(), arena_.begin() + e.text)) {
        out.insert(out.end(), pool_.begin() + e.first, pool_.begin() + e.first + e.count);
        return;
      }
    }
    merge_piece(text);
    out.insert(out.end(), ids_.begin(), ids_.end());
    if (used_ * 2 >= table_.size()) grow();
    place({std::uint32_t(hash >> 32), std::uint8_t(text.size()), std::uint8_t(ids_.size()),
           std::uint32_t(arena_.size()), std::uint32_t(pool_.size())},
          hash);
    arena_.insert(arena_.end(), text.begin(), text.end());
    pool_.insert(pool_.end(), ids_.begin(), ids_.end());
  }

  struct entry {
    std::uint32_t hash = 0;
    std::uint8_t bytes = 0, count = 0;
    std::uint32_t text = 0, first = 0;
  };
  void place(entry e, std::uint64_t hash) {
    std::size_t const mask = table_.size() - 1;
    std::size_t i = hash & mask;
    while (table_[i].bytes != 0) i = (i + 1) & mask;
    table_[i] = e;
    ++used_;
  }
  void grow() {
    if (table_.size() >= (1u << 20)) {  // half a million pieces: start over rather than grow without bound
      std::fill(table_.begin(), table_.end(), entry{});
      arena_.clear(), pool_.clear(), used_ = 0;
      return;
    }
    std::vector<entry> old(table_.size() * 2);
    old.swap(table_);
    used_ = 0;
    for (auto const& e : old) {
      if (e.bytes != 0) place(e, detail::hash_bytes(arena_.data() + e.text, e.bytes));
    }
  }

  // Leaves the ids of one piece in ids_: always the pair of least rank first, the leftmost of equals.
  void merge_piece(std::string_view text) {
    auto const& d = *t_.d_;
    ids_.clear();
    if (d.definition.ignore_merges) {
      if (auto const id = d.id_of(text); id >= 0) return void(ids_.push_back(id));
    }
    for (char c : text) ids_.push_back(d.byte_ids[std::uint8_t(c)]);
    if (ids_.size() > 40) return merge_long();
    constexpr std::int32_t none = 0x7fffffff;
    std::array<tokenizer::merge, 40> pair;
    std::size_t n = ids_.size();
    auto look = [&](std::size_t i) {
      auto const* m = i + 1 < n ? d.merges.find(tokenizer::key(ids_[i], ids_[i + 1])) : nullptr;
      return m ? *m : tokenizer::merge{none, -1};
    };
    for (std::size_t i = 0; i < n; ++i) pair[i] = look(i);
    while (n > 1) {
      std::size_t best = 0;
      for (std::size_t i = 1; i + 1 < n; ++i) {
        if (pair[i].rank < pair[best].rank) best = i;
      }
      if (pair[best].rank == none) break;
      ids_[best] = pair[best].result;
      for (std::size_t i = best + 1; i + 1 < n; ++i) ids_[i] = ids_[i + 1], pair[i] = pair[i + 1];
      --n;
      pair[best] = look(best);
      if (best > 0) pair[best - 1] = look(best - 1);
    }
    ids_.resize(n);
  }

  void merge_long() {
    auto const& d = *t_.d_;
    struct item {
      std::int32_t rank, at, result;
      bool operator<(item const& o) const {
        return rank != o.rank ? rank > o.rank : at > o.at;
      }  // least rank, leftmost, on top
    };
    auto const n = std::int32_t(ids_.size());
    std::vector<std::int32_t> next(ids_.size()), before(ids_.size());
    std::vector<item> heap;
    auto look = [&](std::int32_t i) {
      if (i < 0 || next[std::size_t(i)] >= n) return item{-1, i, -1};
      auto const* m = d.merges.find(tokenizer::key(ids_[std::size_t(i)], ids_[std::size_t(next[std::size_t(i)])]));
      return m ? item{m->rank, i, m->result} : item{-1, i, -1};
    };
    for (std::int32_t i = 0; i < n; ++i) next[std::size_t(i)] = i + 1, before[std::size_t(i)] = i - 1;
    for (std::int32_t i = 0; i < n; ++i) {
      if (auto const it = look(i); it.result >= 0) heap.push_back(it);
    }
    std::make_heap(heap.begin(), heap.end());
    auto push = [&](item it) {
      if (it.result < 0) return;
      heap.push_back(it);
      std::push_heap(heap.begin(), heap.end());
    };
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end());
      item const top = heap.back();
      heap.pop_back();
      auto const at = std::size_t(top.at);
      if (ids_[at] < 0 || look(top.at).result != top.result) continue;  // stale
      std::int32_t const gone = next[at];
      ids_[at] = top.result;
      ids_[std::size_t(gone)] = -1;
      next[at] = next[std::size_t(gone)];
      if (next[at] < n) before[std::size_t(next[at])] = top.at;
      push(look(before[at]));
      push(look(top.at));
    }
    std::erase(ids_, -1);
  }

  tokenizer t_;
  std::vector<splitter::workspace> workspaces_;
  std::vector<added_token const*> early_, late_;
  std::vector<std::int32_t> ids_;
  std::vector<entry> table_;
  std::vector<char> arena_;
  std::vector<std::int32_t> pool_;
  std::size_t used_ = 0;
};

inline std::vector<std::int32_t> tokenizer::encode(std::string_view text, specials how) const {
  if (auto const bad = first_invalid_utf8(text); bad != std::string_view::npos) {
    throw error("the text to encode is not UTF-8 at byte " + std::to_string(bad) + "; convert it first");
  }
  std::vector<std::int32_t> out;
  encoder(*this).encode(text, out, how);
  return out;
}

}  // namespace tenon::data
