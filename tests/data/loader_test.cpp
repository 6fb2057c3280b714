#include "tenon/data/loader.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"
#include "tenon/data/evaluation.hpp"
#include "tenon/data/prefetcher.hpp"
#include "tenon/data/prepare.hpp"

namespace {
using namespace tenon::data;
using tenon_test::scratch;

// 120 documents, number i being "a" i % 17 + 1 times with its number in front; difficulty -i.
struct corpus {
  scratch d;
  prepared p;
  corpus() : p(make(d)) {}
  static prepared make(scratch const& d) {
    std::string lines;
    for (int i = 0; i < 120; ++i) {
      std::string text = std::to_string(i) + ":";
      for (int k = 0; k <= i % 17; ++k) text += " a" + std::to_string(k * i % 10);
      lines += "{\"text\": \"" + text + "\", \"hard\": " + std::to_string(-i) + "}\n";
    }
    prepare_options o;
    o.source.paths = {d.file("in.jsonl", lines)};
    o.source.difficulty_field = "hard";
    o.cache = d.path / "cache";
    o.bpe.vocabulary = 270;
    o.store.held_out = 0.2;
    return prepare(o);
  }
  loader make_loader(std::int64_t sequence, std::uint64_t seed = 1, split side = split::train,
                     curriculum_plan const& plan = {}) const {
    return loader(p.corpus, side, sequence, seed, p.tokens.end_of_text(), plan);
  }
  std::vector<std::int32_t> ids(std::int64_t i) const {
    std::vector<std::int32_t> t(std::size_t(p.corpus.length(i)));
    p.corpus.copy(i, 0, p.corpus.length(i), t.data());
    return t;
  }
};

struct block {
  std::int64_t sequence;
  std::vector<std::int32_t> tokens, targets, positions, start;
  block(loader& l, cursor at, std::int64_t count) : sequence(l.sequence()) {
    for (auto* v : {&tokens, &targets, &positions, &start}) v->assign(std::size_t(count * sequence), -7);
    l.fill(at, count, tokens.data(), targets.data(), positions.data(), start.data());
  }
  bool operator==(block const&) const = default;
};

// The pieces of documents in a block: from the row with position 0 to the next such row.
std::vector<std::vector<std::int32_t>> pieces(block const& b, std::size_t& padding) {
  std::vector<std::vector<std::int32_t>> out;
  padding = 0;
  for (std::size_t i = 0; i < b.tokens.size(); ++i) {
    if (b.targets[i] < 0) {
      ++padding;
      continue;
    }
    if (b.positions[i] == 0) out.emplace_back();
    out.back().push_back(b.targets[i]);
  }
  return out;
}

TEST("rows: shifted by one, begun by end of text, positions and borders restart") {
  corpus const c;
  for (std::int64_t sequence : {1, 2, 7, 64, 5000}) {
    auto l = c.make_loader(sequence);
    auto const n = l.samples_in_epoch({});
    block const b(l, {}, n);
    for (std::int64_t s = 0; s < n; ++s) {
      for (std::int64_t r = 0; r < sequence; ++r) {
        auto const i = std::size_t(s * sequence + r);
        bool const first = b.positions[i] == 0;
        EXPECT_EQ(b.start[i], r - b.positions[i]);
        if (r == 0) EXPECT(first);
        if (!first && b.targets[i] >= 0) {
          EXPECT_EQ(b.tokens[i], b.targets[i - 1]);
          EXPECT(b.targets[i - 1] != c.p.tokens.end_of_text());
        }
        if (first && r > 0 && b.targets[i] >= 0) {  // the document before ended here
          EXPECT_EQ(b.targets[i - 1], c.p.tokens.end_of_text());
          EXPECT_EQ(b.tokens[i], c.p.tokens.end_of_text());
        }
        if (b.targets[i] < 0) EXPECT_EQ(b.tokens[i], c.p.tokens.end_of_text());
      }
    }
  }
}

TEST("an epoch holds every token of every document of its side once, and says what is padding") {
  corpus const c;
  for (auto side : {split::train, split::held_out}) {
    for (std::int64_t sequence : {3, 16, 5000}) {
      auto l = c.make_loader(sequence, 9, side);
      std::multiset<std::vector<std::int32_t>> want;
      std::int64_t rows = 0;
      std::map<std::int32_t, std::int64_t> want_ids, got_ids;
      for (std::int64_t i = 0; i < c.p.corpus.documents(); ++i) {
        if (c.p.corpus.side(i) != side) continue;
        want.insert(c.ids(i));
        rows += c.p.corpus.length(i);
        for (auto t : c.ids(i)) ++want_ids[t];
      }
      EXPECT_EQ(l.targets_in_epoch({}), rows);
      EXPECT_EQ(l.samples_in_epoch({}), (rows + sequence - 1) / sequence);
      block const b(l, {}, l.samples_in_epoch({}));
      std::size_t padding = 0;
      auto const got = pieces(b, padding);
      for (auto const& p : got) {
        for (auto t : p) ++got_ids[t];
      }
      EXPECT(want_ids == got_ids);
      EXPECT_EQ(std::int64_t(padding), l.samples_in_epoch({}) * sequence - rows);
      EXPECT_EQ(loader::count_targets(b.targets.data(), std::int64_t(b.targets.size())), rows);
      if (sequence == 5000) EXPECT(std::multiset<std::vector<std::int32_t>>(got.begin(), got.end()) == want);
    }
  }
}

TEST("R9, R11: order is a function of seed, epoch and stage, and of nothing that came before") {
  corpus const c;
  auto a = c.make_loader(16);
  auto const n = a.samples_in_epoch({});
  block const whole(a, {0, 0, 0}, 3 * n + 5);
  auto const one = [&](cursor at) {
    auto fresh = c.make_loader(16);
    return block(fresh, at, 1);
  };
  for (std::int64_t i = 0; i < 3 * n + 5; i += 3) {
    auto const at = a.at_sample(i);
    EXPECT(at == cursor{0, i / n, i % n});
    EXPECT_EQ(a.samples_before(at), i);
    EXPECT(a.advance({}, i) == at);
    EXPECT(std::equal(whole.targets.begin() + i * 16, whole.targets.begin() + (i + 1) * 16, one(at).targets.begin()));
  }
  auto b = c.make_loader(16, 2);
  EXPECT(!(block(a, {}, n) == block(b, {}, n)));
  EXPECT(!(block(a, {0, 0, 0}, n) == block(a, {0, 1, 0}, n)));
  auto held = c.make_loader(16, 3, split::held_out);
  auto const h = held.samples_in_epoch({});
  EXPECT(block(held, {0, 0, 0}, h) == block(held, {0, 5, 0}, h));  // one order for ever
}

TEST("R3: ranks that take turns see what one rank sees") {
  corpus const c;
  auto one = c.make_loader(16);
  auto const n = one.samples_in_epoch({});
  block const all(one, {}, 2 * n);
  for (std::int64_t ranks : {2, 3}) {
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      auto l = c.make_loader(16);
      for (std::int64_t i = rank * 2; i + 2 <= 2 * n; i += ranks * 2) {
        block const mine(l, l.advance({}, i), 2);
        EXPECT(std::equal(mine.targets.begin(), mine.targets.end(), all.targets.begin() + i * 16));
      }
    }
  }
}

TEST("the order is pinned: a change of it would break resuming") {
  corpus const c;
  auto l = c.make_loader(8, 42);
  tenon::sha256 h;
  for (std::int64_t epoch : {0, 1, 7}) {
    block const b(l, {0, epoch, 0}, l.samples_in_epoch({}));
    h.update(b.targets.data(), b.targets.size() * 4), h.update(b.positions.data(), b.positions.size() * 4);
  }
  EXPECT_EQ(h.hex(), "f83b0b610299111c7b96f546215e08057fd9ccc865f38fba1da2785f7e3d75d4");
}

TEST("the keyed permutation is one, for sizes around powers of two") {
  for (std::uint64_t n : {1u, 2u, 3u, 4u, 5u, 15u, 16u, 17u, 64u, 65u, 1000u, 4097u}) {
    for (std::uint64_t key : {0u, 1u, 99u}) {
      tenon::data::detail::permutation const p(n, key);
      std::set<std::uint64_t> seen;
      std::uint64_t fixed = 0;
      for (std::uint64_t i = 0; i < n; ++i) seen.insert(p(i)), fixed += p(i) == i;
      EXPECT_EQ(seen.size(), n);
      EXPECT_EQ(*seen.rbegin(), n - 1);
      if (n >= 64) EXPECT(fixed < 12);  // about one is expected
    }
  }
}

TEST("curriculum: stages by epoch and by sample take documents by difficulty") {
  corpus const c;
  auto documents_in = [&](loader& l, cursor from, std::int64_t samples) {  // numbers of the documents that begin there
    block const b(l, from, samples);
    std::set<int> out;
    for (std::size_t i = 0; i < b.tokens.size(); ++i) {
      if (b.positions[i] != 0 || b.targets[i] < 0 || b.tokens[i] != c.p.tokens.end_of_text()) continue;
      std::vector<std::int32_t> ids;
      for (auto k = i; k < b.tokens.size() && (k == i || b.positions[k] != 0); ++k) ids.push_back(b.targets[k]);
      auto const text = c.p.tokens.decode(ids, true);
      if (text.find(':') != std::string::npos) out.insert(std::stoi(text));
    }
    return out;
  };
  std::set<int> train;
  for (std::int64_t i = 0; i < 120; ++i) {
    if (c.p.corpus.side(i) == split::train) train.insert(int(i));
  }
  // difficulty is -i, so the easier half are the later documents
  curriculum_plan plan{difficulty_by::stored, {{.until_epoch = 2, .high = 0.5}, {.until_sample = 30, .low = 0.5}, {}}};
  auto l = c.make_loader(256, 1, split::train, plan);
  auto const first = l.samples_in_epoch({0, 0, 0});
  REQUIRE(2 * first < 30);
  auto const second = l.advance({}, 2 * first);
  EXPECT(second == cursor{1, 2, 0});
  auto const third = l.at_sample(30);
  EXPECT_EQ(third.stage, 2);
  EXPECT_EQ(third.sample, 0);
  EXPECT(l.at_sample(29).stage == 1);
  EXPECT_EQ(third.epoch, l.at_sample(29).epoch + 1);
  for (std::int64_t i = 0; i < 60; ++i) EXPECT_EQ(l.samples_before(l.at_sample(i)), i);
  auto const easy = documents_in(l, {0, 0, 0}, first), hard = documents_in(l, second, l.samples_in_epoch(second)),
             all = documents_in(l, third, l.samples_in_epoch(third));
  EXPECT(all.size() > train.size() / 2);
  for (auto e : easy) {
    for (auto h : hard) EXPECT(e > h);
  }
  EXPECT(std::includes(train.begin(), train.end(), all.begin(), all.end()));
  EXPECT_EQ(l.targets_in_epoch({0, 0, 0}) + l.targets_in_epoch(second), l.targets_in_epoch(third));

  auto by_length =
      c.make_loader(16, 1, split::train, {difficulty_by::length, {{.until_epoch = 1, .high = 0.3}, {.low = 0.3}}});
  EXPECT(by_length.targets_in_epoch({}) * 3 < by_length.targets_in_epoch({1, 1, 0}));
}

TEST("plans and cursors that cannot be are refused") {
  corpus const c;
  auto refused = [&](std::vector<curriculum_stage> stages, char const* part) {
    EXPECT_THROWS_WITH(c.make_loader(16, 1, split::train, {difficulty_by::length, stages}), part);
  };
  refused({{.until_epoch = 3}}, "must not have an end");
  refused({{}, {}}, "has no end");
  refused({{.until_epoch = 2}, {.until_epoch = 2}, {}}, "ends before it begins");
  refused({{.until_sample = 20}, {.until_sample = 10}, {}}, "ends before it begins");
  refused({{.low = 0.5, .high = 0.5}}, "low < high");
  refused({{.high = 1.5}}, "low < high");
  refused({{.low = 0.5, .high = 0.501}}, "has no documents");
  EXPECT_THROWS_WITH(c.make_loader(0), "at least one row");
  auto l = c.make_loader(16);
  EXPECT_THROWS_WITH(l.advance({1, 0, 0}, 1), "stage 1");
  EXPECT_THROWS_WITH(l.advance({0, 0, 100'000}, 1), "does not lie in its stage");
}

TEST("the prefetcher gives what the loader gives, and hands errors on") {
  corpus const c;
  auto l = c.make_loader(16);
  prefetcher ahead(l, l.at_sample(3), 2, 6);
  micro_batch m;
  auto at = l.at_sample(3);
  for (int i = 0; i < 200; ++i) {
    ahead.take(m);
    block const b(l, at, 2);
    EXPECT(m.at == at);
    EXPECT(m.tokens == b.tokens);
    EXPECT(m.targets == b.targets);
    EXPECT(m.positions == b.positions);
    EXPECT(m.document_start == b.start);
    EXPECT_EQ(m.num_targets, loader::count_targets(b.targets.data(), 32));
    at = l.advance(at, 6);
    EXPECT(m.next == at);
  }
  prefetcher broken(l, {4, 0, 0}, 1);
  EXPECT_THROWS_WITH(broken.take(m), "stage 4");
  EXPECT_THROWS_WITH(broken.take(m), "stage 4");
  EXPECT_THROWS_WITH(prefetcher(l, {}, 4, 2), "stride");
}

TEST("the held-out set counts the bytes of exactly the tokens that it predicts") {
  corpus const c;
  std::int64_t bytes = 0;
  for (std::int64_t i = 0; i < c.p.corpus.documents(); ++i)
    bytes += c.p.corpus.side(i) == split::held_out ? c.p.corpus.bytes(i) : 0;
  held_out_set whole(c.p.corpus, 16, c.p.tokens.end_of_text(), c.p.tokens.byte_lengths());
  EXPECT_EQ(whole.bytes(), bytes);
  EXPECT_EQ(whole.bytes(), c.p.input.held_out_bytes);
  EXPECT_EQ(whole.targets(), c.p.input.held_out_tokens);
  held_out_set part(c.p.corpus, 16, c.p.tokens.end_of_text(), c.p.tokens.byte_lengths(), 3);
  EXPECT_EQ(part.samples(), 3);
  std::vector<std::int32_t> a(48), t(48), p(48), s(48);
  part.fill(0, 3, a.data(), t.data(), p.data(), s.data());
  std::int64_t text = 0, targets = 0;
  for (auto id : t) {
    if (id >= 0) text += std::int64_t(c.p.tokens.bytes(id).size()) * (id != c.p.tokens.end_of_text()), ++targets;
  }
  EXPECT_EQ(part.bytes(), text);
  EXPECT_EQ(part.targets(), targets);
  EXPECT_NEAR(part.bits_per_byte(double(text) * 0.6931471805599453 * 1.5), 1.5, 1e-12);
  EXPECT_THROWS_WITH(held_out_set(c.p.corpus, 16, 0, c.p.tokens.byte_lengths().subspan(0, 5)),
                     "do not belong together");
}

}  // namespace
