#include "tenon/data/mixture.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"
#include "tenon/data/prefetcher.hpp"
#include "tenon/data/prepare.hpp"

namespace {
using namespace tenon::data;
using tenon_test::scratch;

mixture_pattern pattern_of(std::vector<double> const& weights) { return mixture_pattern(weights); }

// Three sources of different letters and very different sizes, with one tokenizer over all.
struct sources {
  scratch d;
  std::vector<source_options> from;
  std::vector<prepared> p;
  sources() : from(inputs(d)), p(prepare_each(from, options(d))) {}
  static prepare_options options(scratch const& d) {
    prepare_options o;
    o.cache = d.path / "cache";
    o.bpe.vocabulary = 280;
    o.store.held_out = 0.2;
    return o;
  }
  static std::vector<source_options> inputs(scratch const& d) {
    std::vector<source_options> all;
    std::string const words[] = {"alpha", "bravo", "delta"};
    for (int s = 0; s < 3; ++s) {
      std::string lines;
      int const documents[] = {400, 12, 60};
      for (int i = 0; i < documents[s]; ++i)
        lines += "{\"text\": \"" + words[s] + " " + std::to_string(i * i) + " " + words[s] + "\"}\n";
      all.push_back({.paths = {d.file("in" + std::to_string(s) + ".jsonl", lines)}});
    }
    return all;
  }
  loader one(std::size_t s, std::uint64_t seed = 1) const {
    return loader(p[s].corpus, split::train, 8, seed, p[s].tokens.end_of_text());
  }
  mixture_loader mixed(std::vector<double> const& weights = {0.7, 0.2, 0.1}, std::uint64_t seed = 1) const {
    std::vector<loader> all;
    for (std::size_t s = 0; s < weights.size(); ++s) all.push_back(one(s, seed));
    return mixture_loader(std::move(all), weights);
  }
};

struct block {
  std::vector<std::int32_t> tokens, targets, positions, start;
  template <class Loader>
  block(Loader& l, cursor at, std::int64_t count) {
    for (auto* v : {&tokens, &targets, &positions, &start}) v->assign(std::size_t(count * l.sequence()), -7);
    l.fill(at, count, tokens.data(), targets.data(), positions.data(), start.data());
  }
  bool operator==(block const&) const = default;
};

TEST("shares: exact over a period, by largest remainder") {
  using shares = std::vector<std::int64_t>;
  EXPECT(pattern_of({1}).shares() == shares{1024});
  EXPECT(pattern_of({3, 1}).shares() == (shares{768, 256}));
  EXPECT(pattern_of({0.7, 0.3}).shares() == (shares{717, 307}));      // 716.8, 307.2
  EXPECT(pattern_of({70, 30}).shares() == (shares{717, 307}));        // only the proportion counts
  EXPECT(pattern_of({1, 1, 1}).shares() == (shares{342, 341, 341}));  // 341.33 each
  EXPECT(pattern_of({1, 1023}).shares() == (shares{1, 1023}));
  EXPECT(pattern_of({1e-300, 3e-300}).shares() == (shares{256, 768}));
}

TEST("the pattern: whole shares in every period, spread so that no source is ever a sample ahead or behind") {
  std::vector<double> many(41, 1);  // one large and forty small: none of them in a row
  many[0] = 60;
  for (auto const& weights : std::vector<std::vector<double>>{{1},
                                                              {0.7, 0.3},
                                                              {0.7, 0.2, 0.1},
                                                              {1, 1023},
                                                              {1, 1, 1, 1, 1},
                                                              {5, 3, 0.01, 7, 2},
                                                              many,
                                                              {31, 1, 17, 17, 3}}) {
    auto const p = pattern_of(weights);
    std::vector<std::int64_t> count(weights.size(), 0);
    for (std::int64_t n = 0; n < 3 * p.period; ++n) {
      for (std::size_t s = 0; s < weights.size(); ++s) {
        REQUIRE(p.before(s, n) == count[s]);
        REQUIRE(std::abs(double(count[s]) - double(n) * double(p.shares()[s]) / double(p.period)) < 1);
        if (n % p.period == 0) REQUIRE(count[s] == n / p.period * p.shares()[s]);
      }
      ++count[p.source_of(n)];
    }
  }
}

TEST("weights that cannot be are refused") {
  double const infinite = std::numeric_limits<double>::infinity(), nan = std::nan("");
  EXPECT_THROWS_WITH(pattern_of({}), "at least one weight");
  EXPECT_THROWS_WITH(pattern_of({1, 0}), "weight 1 of the mixture is not a number above 0");
  EXPECT_THROWS_WITH(pattern_of({3, -1}), "not a number above 0");
  EXPECT_THROWS_WITH(pattern_of({1, nan}), "not a number above 0");
  EXPECT_THROWS_WITH(pattern_of({infinite, 1}), "not a number above 0");
  EXPECT_THROWS_WITH(pattern_of({1, 5000}), "below 1/1024");
  sources const c;
  std::vector<double> const two{1, 1};
  EXPECT_THROWS_WITH(mixture_loader({c.one(0)}, two), "needs as many sources, and got 1");
  loader const longer(c.p[1].corpus, split::train, 16, 1, c.p[1].tokens.end_of_text());
  EXPECT_THROWS_WITH(mixture_loader({c.one(0), longer}, two), "one sequence length");
}

TEST("sample n is the next sample of its source, in that source's own order and epochs") {
  sources const c;
  auto l = c.mixed();
  std::vector<loader> own{c.one(0), c.one(1), c.one(2)};
  std::vector<std::int64_t> count(3, 0);
  std::int64_t const n = 2 * mixture_pattern::period + 100;
  for (std::int64_t i = 0; i < n; ++i) {
    auto const s = l.pattern().source_of(i);
    EXPECT(l.place(s, {0, 0, i}) == own[s].at_sample(count[s]));
    REQUIRE(block(l, {0, 0, i}, 1) == block(own[s], own[s].at_sample(count[s]++), 1));
  }
  // the small source begins again while the large one is still in an early pass
  EXPECT(l.place(1, {0, 0, n}).epoch > 5 * (l.place(0, {0, 0, n}).epoch + 1));
  EXPECT(own[0].samples_in_epoch({}) > 10 * own[1].samples_in_epoch({}));
  auto early = l.pattern().before(0, 100);
  EXPECT(early < own[0].samples_in_epoch({}));
  EXPECT_EQ(l.place(0, {0, 0, 100}).epoch, 0);
  EXPECT(l.place(1, {0, 0, 100}).epoch >= 1);
}

TEST("the order does not depend on how the loader is asked; a fresh one goes on from any cursor") {
  sources const c;
  auto whole_loader = c.mixed();
  std::int64_t const n = mixture_pattern::period + 200, rows = whole_loader.sequence();
  block const whole(whole_loader, {}, n);  // across the end of a period
  auto part = [&](std::vector<std::int32_t> const& v, std::int64_t from, std::int64_t count) {
    return std::vector<std::int32_t>(v.begin() + from * rows, v.begin() + (from + count) * rows);
  };
  auto again = c.mixed();
  for (std::int64_t from : {0, 1, 7, 500, 1019, 1023, 1024, 1025, 1200, 3}) {  // back and forth with one loader
    std::int64_t const count = std::min<std::int64_t>(17, n - from);
    auto fresh = c.mixed();
    for (auto* l : {&again, &fresh}) {
      block const b(*l, l->at_sample(from), count);
      EXPECT(b.tokens == part(whole.tokens, from, count));
      EXPECT(b.targets == part(whole.targets, from, count));
      EXPECT(b.positions == part(whole.positions, from, count));
      EXPECT(b.start == part(whole.start, from, count));
    }
  }
  EXPECT(block(again, {}, 64) != block(whole_loader, again.at_sample(64), 64));
  auto other_seed = c.mixed({0.7, 0.2, 0.1}, 2);
  EXPECT(block(other_seed, {}, 64) != block(again, {}, 64));
}

TEST("two ranks that take turns see what one sees") {
  sources const c;
  auto l = c.mixed();
  prefetcher alone(l, {}, 4), first(l, {}, 2, 4), second(l, l.at_sample(2), 2, 4);
  micro_batch a, b, both;
  for (int i = 0; i < 400; ++i) {
    alone.take(both), first.take(a), second.take(b);
    a.targets.insert(a.targets.end(), b.targets.begin(), b.targets.end());
    REQUIRE(a.targets == both.targets);
    EXPECT(both.next == (cursor{0, 0, 4 * (i + 1)}));
    EXPECT(both.next == a.next);
  }
}

TEST("cursors of other data are refused") {
  sources const c;
  auto l = c.mixed();
  EXPECT_EQ(l.samples_before({0, 0, 123'456'789'012}), 123'456'789'012);
  EXPECT_THROWS_WITH(l.samples_before({0, 1, 0}), "is not of a mixture");
  EXPECT_THROWS_WITH(l.advance({1, 0, 0}, 1), "is not of a mixture");
  EXPECT_THROWS_WITH(block(l, {0, 0, -1}, 1), "is not of a mixture");
}

TEST("the fingerprint covers each store, their order and the weights") {
  sources const c;
  std::set<std::string> all;
  all.insert(c.mixed().hash());
  all.insert(c.mixed({0.7, 0.1, 0.2}).hash());
  all.insert(c.mixed({0.7, 0.3}).hash());
  all.insert(mixture_loader({c.one(1), c.one(0), c.one(2)}, std::vector<double>{0.7, 0.2, 0.1}).hash());
  all.insert(mixture_loader({c.one(0), c.one(2), c.one(2)}, std::vector<double>{0.7, 0.2, 0.1}).hash());
  EXPECT_EQ(all.size(), std::size_t(5));
  EXPECT_EQ(c.mixed().hash(), c.mixed({7, 2, 1}, 5).hash());
}

TEST("one tokenizer over all sources, one store for each, from the cache the second time") {
  sources const c;
  REQUIRE(c.p.size() == 3);
  std::set<std::string> stores;
  for (auto const& p : c.p) {
    EXPECT_EQ(p.tokens.fingerprint(), c.p[0].tokens.fingerprint());
    EXPECT(!p.from_cache);
    stores.insert(p.directory.string());
  }
  EXPECT_EQ(stores.size(), std::size_t(3));
  EXPECT_EQ(c.p[1].input.documents, 12);
  // it has words of each source, so it has read them all
  std::set<std::string> entries;
  for (std::int32_t i = 0; i < c.p[0].tokens.size(); ++i) entries.insert(std::string(c.p[0].tokens.bytes(i)));
  for (auto word : {"alpha", "delta"}) {
    DOCTEST_INFO(word);
    EXPECT(std::any_of(entries.begin(), entries.end(),
                       [&](auto const& e) { return e.size() >= 3 && std::string(word).find(e) != std::string::npos; }));
  }
  auto const again = prepare_each(c.from, sources::options(c.d));
  for (std::size_t s = 0; s < 3; ++s) {
    EXPECT_EQ(again[s].corpus.hash(), c.p[s].corpus.hash());
    EXPECT_EQ(again[s].directory, c.p[s].directory);
    EXPECT(again[s].from_cache);
  }
}

}  // namespace
