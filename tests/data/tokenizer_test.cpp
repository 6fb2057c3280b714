#include "tenon/data/tokenizer.hpp"

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "support/test.hpp"
#include "tenon/data/bpe_train.hpp"
#include "tenon/data/tokenizer_json.hpp"

namespace {
using namespace tenon::data;
using tenon_test::scratch;

std::string random_unicode(std::mt19937_64& g, int length) {
  std::string out;
  static std::uint32_t const special[] = {0x180E, 0x200B, 0x200D, 0x2064, 0x85,   0xA0,    0x3000, 0x2028,
                                          0x0130, 0x131,  0x17F,  0x301,  0xFEFF, 0x0A,    0x0D,   0x09,
                                          0x20,   0x20,   0x27,   0x53,   0x74,   0x1F600, 0x0};
  for (int i = 0; i < length; ++i) {
    std::uint32_t c = 0;
    switch (g() % 8) {
      case 0:
        c = std::uint32_t(g() % 0x110000);
        break;
      case 1:
        c = std::uint32_t(g() % 0x3000);
        break;
      case 2:
        c = special[g() % std::size(special)];
        break;
      case 3:
        c = 0x4E00 + std::uint32_t(g() % 0x5200);
        break;
      case 4:
        c = 0x0400 + std::uint32_t(g() % 0x200);
        break;
      default:
        c = std::uint32_t(g() % 0x80);
        break;
    }
    if (c >= 0xD800 && c <= 0xDFFF) c = ' ';
    append_utf8(out, c);
  }
  return out;
}

std::vector<std::string> source_files() {
  std::vector<std::string> out;
  auto const root =
      std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() / "include" / "tenon" / "data";
  for (auto const& e : std::filesystem::recursive_directory_iterator(root)) {
    if (e.is_regular_file()) out.push_back(e.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

char const* const scripts[] = {
    "The quick brown fox; it's 12345678 o'clock, we'll SEE'LL they'RE.\n\n\n  indented\r\n\ttabs  end   ",
    "Съешь же ещё этих мягких французских булок, да выпей чаю. 1234",
    "敏捷的棕色狐狸跳过了懒狗。汉字和假名：ひらがな、カタカナ。한국어 문장도 있습니다.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول ١٢٣٤٥",
    "עברית עם ניקוד: שָׁלוֹם",
    "हिन्दी में एक वाक्य, १२३४५।",
    "Ünïcödé combining: e\u0301 a\u0308 \u200d emoji 👩‍👩‍👧‍👦 🇩🇪 ½ ² Ⅷ",
    "İstanbul ſmall K kelvin ı",
    "a\xE1\xA0\x8E b \xE1\xA0\x8E\xE1\xA0\x8E \n\xE1\xA0\x8E\n",
    "<|end_of_text|>x<|end_of_text|><|end_of_text",
    "",
    " ",
    "\n",
    "   \n  \n x",
    "template <class T, int N> struct a { T x[N]; };  // 0x7fff'ffff\n#define F(x) ((x)->y.z())\n"};

std::vector<std::string> texts() {
  std::vector<std::string> out(std::begin(scripts), std::end(scripts));
  std::mt19937_64 g(7);
  for (int i = 0; i < 300; ++i) out.push_back(random_unicode(g, 1 + int(g() % 200)));
  for (int i = 0; i < 100; ++i) {  // white space and marks only
    std::string s;
    for (int k = int(g() % 40); k >= 0; --k) s += " \t\n\r'a1.\u3000"[g() % 8];
    out.push_back(s);
  }
  out.push_back(std::string(5000, 'a'));
  out.push_back(std::string(3000, ' ') + "x");
  out.push_back(std::string(777, '\n'));
  for (auto const& f : source_files()) out.push_back(tenon_test::slurp(f));
  out.push_back(tenon_test::slurp(__FILE__));
  return out;
}

tokenizer train(std::int64_t vocabulary, std::string split = std::string(default_split), int threads = 1) {
  bpe_options o;
  o.vocabulary = vocabulary;
  o.split = std::move(split);
  bpe_trainer t(o);
  std::vector<std::string> held;
  for (auto const& f : source_files()) held.push_back(tenon_test::slurp(f));
  for (auto const* s : scripts) held.push_back(s);
  t.add({held.begin(), held.end()}, threads);
  return t.train();
}

void agrees(std::string const& tokenizer_json, char const* how = "parse") {
  scratch dir;
  auto const t = parse_tokenizer(tokenizer_json);
  auto const all = texts();
  auto const name = dir.file("tokenizer.json", tokenizer_json);
  auto const in = dir.file("texts.json", nlohmann::json(all).dump());
  auto const out = (dir.path / "out.json").string();
  tenon_test::python("tokenizers_oracle.py", "encode " + name + " " + in + " " + out + " " + how);
  auto const theirs = nlohmann::json::parse(tenon_test::slurp(out));
  REQUIRE(theirs["ids"].size() == all.size());
  EXPECT_EQ(theirs["size"].get<std::int64_t>(), t.size());
  encoder e(t);
  std::size_t ids = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::int32_t> ours;
    e.encode(all[i], ours, std::string(how) == "parse" ? specials::parse : specials::as_text);
    DOCTEST_INFO(
        "text " << i << ": "
                << nlohmann::json(all[i].substr(0, 200)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    EXPECT(ours == theirs["ids"][i].get<std::vector<std::int32_t>>());
    EXPECT(t.decode(ours) == all[i]);
    ids += ours.size();
  }
  EXPECT(ids > 10'000);
}

TEST("the trainer makes the vocabulary and merges of tokenizers.trainers.BpeTrainer") {
  scratch dir;
  std::string arguments =
      "train " + dir.file("split", std::string(default_split)) + " 1500 " + (dir.path / "out.json").string();
  for (auto const& f : source_files()) arguments += " " + f;
  int i = 0;
  for (auto const* s : scripts) arguments += " " + dir.file("s" + std::to_string(i++), s);
  tenon_test::python("tokenizers_oracle.py", arguments);
  auto const theirs = load_tokenizer(dir.path / "out.json");
  auto const ours = train(1500);
  EXPECT_EQ(ours.size(), 1500);
  EXPECT(ours.definition().tokens == theirs.definition().tokens);
  EXPECT(ours.definition().merges == theirs.definition().merges);
  EXPECT_EQ(ours.fingerprint(), theirs.fingerprint());
}

TEST("training does not depend on threads") {
  EXPECT_EQ(train(900).fingerprint(), train(900, std::string(default_split), 3).fingerprint());
}

TEST("ids agree with the Python package: the trained tokenizer") {
  auto const json = to_json(train(1200));
  SUBCASE("added tokens parsed") { agrees(json); }
  SUBCASE("added tokens as text") { agrees(json, "ordinary"); }
}

TEST("ids agree with the Python package: other dialects of tokenizer.json") {
  auto j = nlohmann::json::parse(to_json(train(1200, std::string(gpt2_split))));
  SUBCASE("GPT-2: ByteLevel with its own split, merges as strings") {
    j["pre_tokenizer"] = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    for (auto& m : j["model"]["merges"]) m = m[0].get<std::string>() + " " + m[1].get<std::string>();
    agrees(j.dump());
  }
  SUBCASE("DeepSeek-V3: three splits") {
    auto split = [](char const* p) {
      return nlohmann::json{
          {"type", "Split"}, {"pattern", {{"Regex", p}}}, {"behavior", "Isolated"}, {"invert", false}};
    };
    j["pre_tokenizer"]["pretokenizers"] = {
        split(R"(\p{N}{1,3})"),
        split("[一-龥぀-ゟ゠-ヿ]+"),
        split(
            R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}};
    j["normalizer"] = {{"type", "Sequence"}, {"normalizers", nlohmann::json::array()}};
    agrees(j.dump());
  }
  SUBCASE("digits one by one, a literal split, whole pieces before merges, several added tokens") {
    j["pre_tokenizer"]["pretokenizers"] = {
        {{"type", "Split"}, {"pattern", {{"String", ";\n"}}}, {"behavior", "Isolated"}, {"invert", false}},
        {{"type", "Digits"}, {"individual_digits", true}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}};
    j["model"]["ignore_merges"] = true;
    int id = 1200;
    for (auto const& [content, normalized] :
         {std::pair{"std::", true}, {"std::string", true}, {"<|end", false}, {"::string_view", false}}) {
      j["added_tokens"].push_back({{"id", id++},
                                   {"content", content},
                                   {"single_word", false},
                                   {"lstrip", false},
                                   {"rstrip", false},
                                   {"normalized", normalized},
                                   {"special", false}});
    }
    agrees(j.dump());
  }
}

TEST("a tokenizer read back is the same, and writes the same bytes") {
  auto const t = train(600);
  auto const back = parse_tokenizer(to_json(t));
  EXPECT_EQ(back.fingerprint(), t.fingerprint());
  EXPECT_EQ(to_json(back), to_json(t));
  EXPECT_EQ(back.end_of_text(), 0);
  EXPECT_EQ(back.byte_lengths()[0], 0u);
  EXPECT_EQ(t.decode(std::vector<std::int32_t>{0}, true), "");
}

TEST("what is not understood in a tokenizer.json is refused with a sentence") {
  auto const good = nlohmann::json::parse(to_json(train(300)));
  auto refused = [&](auto change, char const* part) {
    auto j = good;
    change(j);
    EXPECT_THROWS_WITH(parse_tokenizer(j.dump(), "my.json"), part);
    EXPECT_THROWS_WITH(parse_tokenizer(j.dump(), "my.json"), "my.json");
  };
  refused([](auto& j) { j["normalizer"] = {{"type", "NFC"}}; }, "normalizer of type NFC");
  refused([](auto& j) { j["model"]["type"] = "Unigram"; }, "model is not BPE");
  refused([](auto& j) { j["model"]["dropout"] = 0.1; }, "model.dropout");
  refused([](auto& j) { j["model"]["surprise"] = 1; }, "model.surprise is an unknown key");
  refused([](auto& j) { j["surprise"] = 1; }, "surprise is an unknown key");
  refused([](auto& j) { j["truncation"] = {{"max_length", 5}}; }, "truncation is set");
  refused([](auto& j) { j["pre_tokenizer"] = {{"type", "Whitespace"}}; }, "pre_tokenizer of type Whitespace");
  refused([](auto& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Contiguous"; }, "behavior Contiguous");
  refused([](auto& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "("; },
          "not a regular expression");
  refused([](auto& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "a*"; }, "matches the empty text");
  refused([](auto& j) { j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = R"(\p{N}{1,3}+)"; },
          "Oniguruma read differently");
  refused([](auto& j) { j["added_tokens"][0]["lstrip"] = true; }, "sets lstrip");
  refused([](auto& j) { j["added_tokens"][0]["content"] = "<stop>"; }, "another token");
  refused([](auto& j) { j["added_tokens"] = nlohmann::json::array(); }, "names no known end of text");
  refused([](auto& j) { j["model"]["merges"].push_back({"a", "nope"}); }, "not in the vocabulary");
  refused([](auto& j) { j["model"]["vocab"]["x1"] = -5; }, "outside 0 to 2^24");
  refused([](auto& j) { j["model"]["vocab"]["x1"] = 4; }, "shares its id");
  refused([](auto& j) { j["model"]["vocab"]["!"] = "one"; }, "wrong type");
  refused([](auto& j) { j["model"]["vocab"].erase("!"); }, "lacks a token for byte 33");
  EXPECT_THROWS_WITH(parse_tokenizer("{", "my.json"), "my.json is not JSON");
  EXPECT_THROWS_WITH(load_tokenizer("/nonexistent/t.json"), "/nonexistent/t.json");
  EXPECT_THROWS_WITH(parse_tokenizer(good.dump(), "my.json", "<stop>"), "<stop>");
}

TEST("ids from elsewhere and text that is not UTF-8 are refused") {
  auto const t = train(300);
  EXPECT_THROWS_WITH(t.decode(std::vector<std::int32_t>{300}), "outside");
  EXPECT_THROWS_WITH(t.decode(std::vector<std::int32_t>{-1}), "outside");
  EXPECT_THROWS_WITH(t.encode("ab\xff"), "byte 2");
  EXPECT_THROWS_WITH(bpe_trainer(bpe_options{.vocabulary = 256, .split = "x", .end_of_text = "e"}), "257");
}

TEST("one endless word is encoded in time nearly linear in its length") {
  auto const t = train(1200);
  auto seconds = [&](std::size_t n) {
    std::string s;
    for (std::size_t i = 0; i < n; ++i) s += char('a' + (i * i / 7 + i) % 5);
    auto const begin = std::chrono::steady_clock::now();
    auto const ids = t.encode(s);
    REQUIRE(t.decode(ids) == s);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  seconds(1 << 14);
  double const small = seconds(1 << 17), large = seconds(1 << 21);  // 16 times the length; quadratic would be 256 times
  DOCTEST_INFO(small << " s and " << large << " s");
  EXPECT(large < 64 * small);
}

TEST("UTF-8: every malformed form is found at its first byte") {
  EXPECT_EQ(first_invalid_utf8("plain ASCII, more than eight bytes"), std::string_view::npos);
  EXPECT_EQ(first_invalid_utf8("\xC2\x80 \xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"),
            std::string_view::npos);
  for (std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80", "\xE2\x82", "\xF0\x9F\x98", "\xC3(", "\xE2\x28\xA1", "\xFF"}) {
    EXPECT_EQ(first_invalid_utf8(bad), 0u);
    EXPECT_EQ(first_invalid_utf8("12345678\xC3\xA9" + bad + "tail"), 10u);
  }
}

}  // namespace
