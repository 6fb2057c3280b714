#include "tenon/data/store.hpp"

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"
#include "tenon/data/prepare.hpp"

namespace {
using namespace tenon::data;
using tenon_test::scratch;
namespace fs = std::filesystem;

// Some 60 documents of mixed length, one of them twice.
void write_corpus(scratch const& d, std::string const& below = "in") {
  std::mt19937 g(3);
  for (int i = 0; i < 60; ++i) {
    std::string s;
    for (int k = int(g() % 80); k >= 0; --k) s += "word" + std::to_string(g() % 50) + (g() % 5 == 0 ? "\n" : " ");
    d.file(below + "/" + std::to_string(100 + i) + ".txt", i == 59 ? "same" : s);
  }
  d.file(below + "/200.txt", "same");
}
prepare_options options(scratch const& d) {
  prepare_options o;
  o.source.paths = {(d.path / "in").string()};
  o.cache = d.path / "cache";
  o.bpe.vocabulary = 400;
  o.store.held_out = 0.2;
  return o;
}
std::string text_of(prepared const& p, std::int64_t i) {
  std::vector<std::int32_t> ids(std::size_t(p.corpus.length(i)));
  p.corpus.copy(i, 0, p.corpus.length(i), ids.data());
  REQUIRE(ids.back() == p.tokens.end_of_text());
  ids.pop_back();
  return p.tokens.decode(ids);
}

TEST("a store gives back every document, its bytes, hash and side") {
  scratch d;
  write_corpus(d);
  auto const p = prepare(options(d));
  REQUIRE(p.corpus.documents() == 61);
  EXPECT_EQ(p.input.duplicates, 1);
  EXPECT_EQ(p.input.documents, 61);
  std::int64_t i = 0, bytes = 0, held = 0, tokens = 0;
  std::uint64_t twin = 0;
  source const in(options(d).source);
  for (auto const& f : in.files()) {
    auto const text = tenon_test::slurp(f.path);
    EXPECT_EQ(text_of(p, i), text);
    EXPECT_EQ(p.corpus.bytes(i), std::int64_t(text.size()));
    EXPECT_EQ(tenon::sha256::hex_of(text).substr(0, 16), [&] {
      char h[17];
      std::snprintf(h, sizeof h, "%016llx", static_cast<unsigned long long>(p.corpus.content_hash(i)));
      return std::string(h);
    }());
    EXPECT_EQ(p.corpus.side(i) == split::held_out, hash_holds_out(p.corpus.content_hash(i), 0.2));
    EXPECT(std::isnan(p.corpus.difficulty(i)));
    if (text == "same") {
      if (twin != 0) EXPECT_EQ(p.corpus.content_hash(i), twin);
      twin = p.corpus.content_hash(i);
    }
    bytes += p.corpus.bytes(i), held += p.corpus.side(i) == split::held_out, tokens += p.corpus.length(i), ++i;
  }
  EXPECT_EQ(p.input.bytes, bytes);
  EXPECT_EQ(p.input.held_out, held);
  EXPECT_EQ(p.corpus.tokens(), tokens);
  EXPECT(held > 3);
  EXPECT(held < 25);
}

TEST("tokens do not depend on threads, batches or the cut into files") {
  scratch d;
  write_corpus(d);
  source const in(options(d).source);
  auto const t = detail::train_tokenizer({in}, options(d), {});
  std::string hash;
  for (auto const& [threads, batch] : {std::pair{1, 1 << 20}, {2, 1}, {3, 5'000}}) {
    auto const dir = d.path / ("s" + std::to_string(threads));
    build_store(in, t, dir, {.held_out = 0.2, .threads = threads, .batch_bytes = batch});
    store const s(dir);
    if (!hash.empty()) EXPECT_EQ(s.hash(), hash);
    hash = s.hash();
  }
  build_store(in, t, d.path / "cut", {.held_out = 0.2, .shard_tokens = 1'000});
  store const cut(d.path / "cut"), whole(d.path / "s1");
  REQUIRE(fs::exists(d.path / "cut" / store::shard_name(2)));
  REQUIRE(cut.tokens() == whole.tokens());
  for (std::int64_t i = 0; i < cut.documents(); ++i) {
    REQUIRE(cut.length(i) == whole.length(i));
    std::vector<std::int32_t> a(std::size_t(cut.length(i))), b(a.size());
    cut.copy(i, 0, cut.length(i), a.data()), whole.copy(i, 0, cut.length(i), b.data());
    EXPECT(a == b);
  }
}

TEST("wide ids are stored in four bytes") {
  scratch d;
  write_corpus(d);
  source const in(options(d).source);
  auto definition = detail::train_tokenizer({in}, options(d), {}).definition();
  definition.tokens.resize(70'000);
  definition.tokens.push_back("<|late|>");
  definition.added.push_back({70'000, "<|late|>", true, false});
  definition.end_of_text = "<|late|>";
  build_store(in, tokenizer(definition), d.path / "wide", {.held_out = 0.2});
  store const s(d.path / "wide");
  std::int32_t last = 0;
  s.copy(3, s.length(3) - 1, 1, &last);
  EXPECT_EQ(last, 70'000);
}

TEST("prepare uses its cache for the same input, and notices every change of it") {
  scratch d;
  write_corpus(d);
  auto const first = prepare(options(d));
  EXPECT(!first.from_cache);
  auto const again = prepare(options(d));
  EXPECT(again.from_cache);
  EXPECT(again.notes.empty());
  EXPECT_EQ(again.corpus.hash(), first.corpus.hash());
  EXPECT_EQ(again.tokens.fingerprint(), first.tokens.fingerprint());
  EXPECT_EQ(again.input.text(), first.input.text());

  auto o = options(d);
  o.store.held_out = 0.3;
  EXPECT(!prepare(o).from_cache);
  o = options(d);
  o.bpe.vocabulary = 300;
  auto const smaller = prepare(o);
  EXPECT(!smaller.from_cache);
  EXPECT_EQ(smaller.tokens.size(), 300);
  save_tokenizer(first.tokens, d.path / "t.json");
  o.tokenizer_file = (d.path / "t.json").string();
  EXPECT(prepare(o).from_cache);  // the same tokenizer, from a file

  d.file("in/100.txt", "changed");
  auto const changed = prepare(options(d));
  EXPECT(!changed.from_cache);
  EXPECT(changed.corpus.hash() != first.corpus.hash());
}

TEST("a corpus at another place has the same hash") {
  scratch a, b;
  write_corpus(a), write_corpus(b);
  EXPECT_EQ(prepare(options(a)).corpus.hash(), prepare(options(b)).corpus.hash());
}

TEST("every damaged byte of a store is noticed, and prepare makes it again") {
  scratch d;
  write_corpus(d);
  auto const good = prepare(options(d));
  std::mt19937 g(5);
  for (auto const* name : {"tokens-00000.bin", "documents.bin"}) {
    auto const path = good.directory / name;
    auto const whole = tenon_test::slurp(path);
    for (int i = 0; i < 60; ++i) {
      auto broken = whole;
      auto const at = i < 20 ? std::size_t(g() % 256) : std::size_t(g() % whole.size());
      broken[at] = char(broken[at] ^ (1 << g() % 8));
      std::ofstream(path, std::ios::binary) << broken;
      DOCTEST_INFO(name << " byte " << at);
      EXPECT_THROWS_WITH(store(good.directory), name);
    }
    for (std::size_t size : {std::size_t(0), std::size_t(100), std::size_t(256), whole.size() - 1}) {
      std::ofstream(path, std::ios::binary) << whole.substr(0, size);
      EXPECT_THROWS_WITH(store(good.directory), "damaged");
    }
    auto const made = prepare(options(d));
    EXPECT(!made.from_cache);
    REQUIRE(made.notes.size() == 1);
    EXPECT(made.notes[0].find("damaged") != std::string::npos);
    EXPECT_EQ(made.corpus.hash(), good.corpus.hash());
    EXPECT(prepare(options(d)).from_cache);
  }
  fs::remove(good.directory / "manifest.json");
  EXPECT(!prepare(options(d)).from_cache);
  for (auto const& e : fs::directory_iterator(d.path / "cache")) {
    if (e.path().extension() == ".json") std::ofstream(e.path()) << "{";
  }
  auto const trained = prepare(options(d));
  REQUIRE(!trained.notes.empty());
  EXPECT(trained.notes[0].find("tokenizer is damaged") != std::string::npos);
  EXPECT_EQ(trained.tokens.fingerprint(), good.tokens.fingerprint());
}

TEST("stopping leaves nothing behind, and leftovers of a killed run are removed") {
  scratch d;
  write_corpus(d);
  auto o = options(d);
  o.store.batch_bytes = 100;
  prepare(o);  // the tokenizer is in the cache now
  o.store.held_out = 0.21;
  int calls = 0;
  watcher w;
  w.stop = [&] { return ++calls > 70; };  // in the second of its phases: 61 documents are read first
  EXPECT_THROWS_WITH(prepare(o, w), "stopped while tokenising");
  fs::create_directories(d.path / "cache" / ".building-999999999-x");
  std::size_t hidden = 0, stores = 0;
  prepare(options(d));
  for (auto const& e : fs::directory_iterator(d.path / "cache")) {
    hidden += e.path().filename().string().front() == '.';
    stores += e.is_directory();
  }
  EXPECT_EQ(hidden, 0u);
  EXPECT_EQ(stores, 1u);
}

TEST("both sides of the split have a document, and one document is refused") {
  scratch d;
  auto const f = d.file("in/a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  for (double fraction : {1e-9, 1 - 1e-9}) {
    auto o = options(d);
    o.store.held_out = fraction;
    auto const p = prepare(o);
    EXPECT_EQ(p.input.held_out, 1);
    EXPECT_EQ(p.input.documents, 2);
  }
  std::ofstream(f) << "{\"text\": \"one\"}\n{\"broken\n";
  EXPECT_THROWS_WITH(prepare(options(d)), "only one usable document");
  EXPECT_THROWS_WITH(prepare(options(d)), "a.jsonl:2: malformed JSON");
  auto o = options(d);
  o.store.held_out = 0;
  EXPECT_THROWS_WITH(prepare(o), "between 0 and 1");
  std::ofstream(f) << "{\"broken\n";
  EXPECT_THROWS_WITH(prepare(options(d)), "no usable document");
  scratch lone;
  std::string text;
  for (int i = 0; i < 500; ++i) text += "line " + std::to_string(i) + "\n";
  lone.file("in/one.txt", text);
  auto const p = prepare(options(lone));
  EXPECT_EQ(p.corpus.documents(), 2);
  EXPECT(p.corpus.side(0) == split::train);
  EXPECT_EQ(text_of(p, 0) + text_of(p, 1), text);
}

}  // namespace
