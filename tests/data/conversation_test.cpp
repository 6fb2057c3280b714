// Conversations: which tokens are learnt, against transformers (conversation_oracle.py made conversation_cases.json);
// how they share samples; and what a file of them may hold.
#include "tenon/data/chat/conversation.hpp"

#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "data/python.hpp"
#include "live/live.hpp"
#include "support/test.hpp"
#include "tenon/data/evaluation.hpp"
#include "tenon/data/loader.hpp"
#include "tenon/data/mixture.hpp"
#include "tenon/data/prefetcher.hpp"
#include "tenon/data/prepare.hpp"

namespace {
using namespace tenon::data;
using chat::json;

std::filesystem::path here() { return std::filesystem::path(__FILE__).parent_path(); }

struct oracle {
  json all;
  tenon_test::scratch d;
  explicit oracle(std::filesystem::path const& file = here() / "conversation_cases.json")
      : all(json::parse(tenon_test::slurp(file))) {
    d.file("tokenizer.json", all["tokenizer"]);
  }
  tokenizer tokens() const { return load_tokenizer(d.path / "tokenizer.json", all["eos"].get<std::string>()); }
  std::shared_ptr<chat::format const> form(json const& text) const {
    return std::make_shared<chat::format const>(text.get<std::string>(), all["bos"].get<std::string>(),
                                                all["eos"].get<std::string>());
  }
  /// The lines of a file, tokenised as a run does it.
  prepared prepare_lines(std::string const& name, std::string const& lines, json const& text,
                         on_bad bad = on_bad::stop) const {
    prepare_options o;
    o.source.paths = {d.file(name, lines)};
    o.source.text_field = "messages";
    o.source.conversations = form(text);
    o.source.bad = bad;
    o.cache = d.path / "cache";
    o.tokenizer_file = (d.path / "tokenizer.json").string();
    o.end_of_text = all["eos"].get<std::string>();
    o.store.held_out = 0.01;
    return prepare(o);
  }
};

void agrees(oracle const& o) {
  auto const t = o.tokens();
  std::size_t n = 0, learnt = 0;
  for (auto const& c : o.all["cases"]) {
    auto const made = o.form(c["template"])->with_answers(c["messages"]);
    auto ids = t.encode(made.text, specials::parse);
    detail::mark_unlearnt(ids, t, made.text, made.answers);
    std::vector<std::int32_t> mask;
    for (auto& id : ids) mask.push_back(is_learnt(id)), learnt += is_learnt(id), id = id_of(id);
    ++n;
    DOCTEST_INFO("conversation " << n << ": " << made.text);
    EXPECT((ids == c["ids"].get<std::vector<std::int32_t>>()));
    EXPECT((mask == c["mask"].get<std::vector<std::int32_t>>()));
  }
  EXPECT(n >= 32);
  EXPECT(learnt > 200);
}

TEST("the tokens that are learnt are those of transformers' assistant mask") { agrees(oracle()); }

TEST("live: transformers' assistant masks made anew" * doctest::skip(live::off())) {
  tenon_test::scratch dir;
  auto const fresh = dir.path / "cases.json";
  tenon_test::python("conversation_oracle.py", "'" + fresh.string() + "'");
  agrees(oracle(fresh));
}

std::string line_of(json const& messages) { return json{{"messages", messages}}.dump() + "\n"; }
json turns(std::vector<std::string> const& words) {
  json all = json::array();
  for (std::size_t i = 0; i < words.size(); ++i)
    all.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", words[i]}});
  return all;
}
constexpr char const* plain =
    "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}";

using several = std::multiset<std::vector<std::int32_t>>;  // of conversations: token, target, token, target, ...

/// What document `i` is in a sample of `sequence` rows; nothing where it has no target there.
std::vector<std::int32_t> rows_of(store const& corpus, std::int64_t i, std::int64_t sequence) {
  std::vector<std::int32_t> ids(std::size_t(corpus.length(i))), rows;
  corpus.copy(i, 0, corpus.length(i), ids.data());
  bool any = false;
  for (std::size_t k = 0; k + 1 < ids.size() && k < std::size_t(sequence); ++k) {
    rows.push_back(id_of(ids[k])), rows.push_back(is_learnt(ids[k + 1]) ? ids[k + 1] : -1);
    any = any || rows.back() >= 0;
  }
  return any ? rows : std::vector<std::int32_t>{};
}
/// Adds the conversations of the sample at `at`; its number of targets. Documents must be marked where they begin, and
/// positions count from there.
template <class Loader>
std::int64_t add_conversations(Loader& l, cursor at, several& to) {
  auto const sequence = l.sequence();
  std::vector<std::int32_t> row[4];
  for (auto& v : row) v.resize(std::size_t(sequence));
  l.fill(at, 1, row[0].data(), row[1].data(), row[2].data(), row[3].data());
  for (std::int64_t r = 0; r < sequence;) {
    auto const start = row[3][std::size_t(r)];
    EXPECT_EQ(start, r);
    std::vector<std::int32_t> one;
    bool any = false;
    for (; r < sequence && row[3][std::size_t(r)] == start; ++r) {
      EXPECT_EQ(row[2][std::size_t(r)], r - start);
      one.push_back(row[0][std::size_t(r)]), one.push_back(row[1][std::size_t(r)]);
      any = any || one.back() >= 0;
    }
    if (any) to.insert(one);
  }
  return loader::count_targets(row[1].data(), sequence);
}

TEST(
    "packed: every conversation lies whole in one sample, a document of its own, and each answer's token is counted "
    "once") {
  oracle const o;
  std::string lines;
  for (int i = 0; i < 60; ++i)
    lines += line_of(turns({std::string(std::size_t(i * 7 % 23 + 1), 'q'), std::string(std::size_t(i % 5 + 1), 'b'),
                            "more", std::string(std::size_t(i % 9), 'c')}));
  lines += line_of(turns({std::string(50, 'q'), "short", std::string(90, 'q'), "behind the cut"}));  // cut
  lines += line_of(turns({std::string(300, 'q'), "too far"}));                                       // left out
  auto const p = o.prepare_lines("packed.jsonl", lines, plain);
  EXPECT_EQ(p.corpus.documents(), 62);
  constexpr std::int64_t sequence = 128;
  loader l(p.corpus, split::train, sequence, 5, p.tokens.begin_of_text(), {}, packing::whole);
  auto const& counts = l.packed();
  EXPECT_EQ(counts.cut + counts.left_out, 2);  // unless one of them is held out, which the hash decides: it is not
  EXPECT_EQ(counts.left_out, 1);
  auto const samples = l.samples_in_epoch({});
  EXPECT(samples * sequence < counts.rows + samples * 20);  // little is padding
  EXPECT_EQ(l.targets_in_epoch({}), counts.targets);

  several want, got[2];
  for (std::int64_t i = 0; i < p.corpus.documents(); ++i)
    if (p.corpus.side(i) == split::train)
      if (auto const rows = rows_of(p.corpus, i, sequence); !rows.empty()) want.insert(rows);
  for (std::int64_t epoch : {0, 1}) {
    std::int64_t targets = 0;
    for (std::int64_t s = 0; s < samples; ++s) targets += add_conversations(l, {0, epoch, s}, got[epoch]);
    EXPECT_EQ(targets, counts.targets);
  }
  EXPECT((got[0] == want));
  EXPECT((got[1] == want));  // another order, the same conversations

  held_out_set const held(p.corpus, sequence, p.tokens.begin_of_text(), p.tokens.byte_lengths(), 0, packing::whole);
  EXPECT(held.targets() > 0);
  EXPECT(held.bytes() > 0);

  loader first(p.corpus, split::train, sequence, 5, p.tokens.begin_of_text(), {}, packing::whole);
  std::vector<std::int32_t> a(sequence), b(sequence), rest(sequence * 2);
  first.fill({0, 0, 0}, 1, a.data(), rest.data(), rest.data(), rest.data());
  first.fill({0, 1, 0}, 1, b.data(), rest.data(), rest.data(), rest.data());
  EXPECT((a != b));
}

TEST(
    "a curriculum takes conversations by length, each whole; a mixture takes each sample from its source; two ranks "
    "see what one sees") {
  oracle const o;
  std::string lines, others;
  for (int i = 0; i < 80; ++i) {
    lines += line_of(turns({std::string(std::size_t(i * 37 % 80 + 1), 'q'), "answer " + std::to_string(i)}));
    others += line_of(turns({"other " + std::to_string(i), std::string(std::size_t(i % 7 + 1), 'z')}));
  }
  auto const a = o.prepare_lines("a.jsonl", lines, plain), b = o.prepare_lines("b.jsonl", others, plain);
  constexpr std::int64_t sequence = 128;
  auto const of = [&](prepared const& p, curriculum_plan const& plan) {
    return loader(p.corpus, split::train, sequence, 5, p.tokens.begin_of_text(), plan, packing::whole);
  };

  // The shorter half for two epochs, then all.
  auto staged = of(a, {difficulty_by::length, {{.until_epoch = 2, .high = 0.5}, {}}});
  std::vector<std::pair<std::int64_t, std::int64_t>> by_length;
  for (std::int64_t i = 0; i < a.corpus.documents(); ++i)
    if (a.corpus.side(i) == split::train) by_length.emplace_back(a.corpus.length(i), i);
  std::sort(by_length.begin(), by_length.end());
  auto const half = std::size_t(std::llround(0.5 * double(by_length.size())));
  several shorter, all;
  for (std::size_t i = 0; i < by_length.size(); ++i) {
    auto const rows = rows_of(a.corpus, by_length[i].second, sequence);
    all.insert(rows);
    if (i < half) shorter.insert(rows);
  }
  for (std::int64_t epoch : {0, 1, 2}) {
    several got;
    cursor const begin{epoch == 2, epoch, 0};
    std::int64_t targets = 0;
    for (std::int64_t s = 0; s < staged.samples_in_epoch(begin); ++s)
      targets += add_conversations(staged, {begin.stage, epoch, s}, got);
    EXPECT((got == (epoch == 2 ? all : shorter)));
    EXPECT_EQ(targets, staged.targets_in_epoch(begin));
    EXPECT(staged.advance(begin, staged.samples_in_epoch(begin)) == (cursor{epoch >= 1, epoch + 1, 0}));
  }

  std::vector<double> const weights{2, 1};
  mixture_loader mixed({of(a, {}), of(b, {})}, weights);
  loader own[2] = {of(a, {}), of(b, {})};
  std::int64_t taken[2] = {0, 0};
  for (std::int64_t n = 0; n < 300; ++n) {
    auto const s = mixed.pattern().source_of(n);
    several got, want;
    add_conversations(mixed, {0, 0, n}, got);
    add_conversations(own[s], own[s].at_sample(taken[s]++), want);
    REQUIRE((got == want && !got.empty()));
  }
  EXPECT_EQ(taken[0], 200);
  EXPECT(own[1].at_sample(taken[1]).epoch > 3);  // the short conversations begin again

  prefetcher alone(mixed, {}, 4), first(mixed, {}, 2, 4), second(mixed, mixed.at_sample(2), 2, 4);
  micro_batch both, one, two;
  for (int i = 0; i < 50; ++i) {
    alone.take(both), first.take(one), second.take(two);
    one.targets.insert(one.targets.end(), two.targets.begin(), two.targets.end());
    REQUIRE(one.targets == both.targets);
  }
}

TEST("packing: no sample overflows, none could take another's, and equal lists pack alike") {
  std::vector<packed_document> list;
  for (std::uint32_t i = 0; i < 500; ++i) list.push_back({i, 1 + (i * 7919u) % 100});
  auto const packs = pack_whole(list, 100);
  std::set<std::uint32_t> seen;
  std::int64_t total = 0, least = 1000;
  std::size_t half_empty = 0;
  for (auto const& p : packs) {
    std::int64_t rows = 0;
    for (auto d : p) rows += list[d].rows, seen.insert(d);
    EXPECT(rows <= 100);
    total += rows, least = std::min(least, rows), half_empty += rows <= 50;
  }
  EXPECT_EQ(seen.size(), list.size());
  EXPECT(half_empty <= 1);  // two of them would have been one
  EXPECT(double(packs.size()) <= 11.0 / 9 * std::ceil(double(total) / 100) + 4);
  EXPECT((pack_whole(list, 100) == packs));
  EXPECT(pack_whole({}, 100).empty());
}

TEST("a file of conversations: what is wrong with a line is said by file and line") {
  oracle const o;
  std::string const good = line_of(turns({"q", "a"})) + line_of(turns({"q2", "a2"}));
  auto const refused = [&](std::string const& line, std::string const& why) {
    DOCTEST_INFO(line);
    EXPECT_THROWS_WITH(o.prepare_lines("bad.jsonl", good + line, plain), "bad.jsonl:3: " + why);
  };
  refused("{\"messages\": [", "malformed JSON");
  refused("[1]", "the record is not a JSON object");
  refused("{\"text\": \"a\"}", "the record has no field \"messages\"");
  refused("{\"messages\": \"a\"}", "field \"messages\" is not a list of messages");
  refused("{\"messages\": []}", "field \"messages\" is not a list of messages");
  refused("{\"messages\": [\"a\"]}", "message 1 is not an object");
  refused("{\"messages\": [{\"content\": \"a\"}]}", "message 1 has no \"role\"");
  refused("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": 3}]}",
          "message 2 has no \"content\"");
  refused(line_of(turns({"q"})), "nobody answers in it");
  auto const p = o.prepare_lines("some.jsonl", good + "{\"messages\": 1}\n" + good, plain, on_bad::skip);
  EXPECT_EQ(p.input.bad, 1);
  EXPECT_EQ(p.corpus.documents(), 4);
  EXPECT_THROWS_WITH(o.prepare_lines("text.txt", "hello", plain), "end in .jsonl");

  // A template that takes back what it wrote before (thoughts, say) gives no place where the answer begins.
  EXPECT_THROWS_WITH(o.form("{% for m in messages %}{{ m.content if loop.last else 'x' }};{% endfor %}")
                         ->with_answers(turns({"q", "a", "q", "a"})),
                     "before answer 2 in another way");
  EXPECT_THROWS_WITH(
      loader(o.prepare_lines("long.jsonl", good, plain).corpus, split::train, 2, 1, 0, {}, packing::whole),
      "has an answer within 2 tokens");
}

}  // namespace
