// Where texts are cut, character by character: every code point, in words, behind blanks and beside digits, against the
// Python package. The vocabulary has a token for every pair of bytes, so that another cut gives other ids.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/python.hpp"
#include "live/live.hpp"
#include "support/test.hpp"
#include "tenon/data/tokenizer_json.hpp"

namespace {
using namespace tenon::data;
using nlohmann::json;
using tenon_test::scratch;

/// Code points that Unicode 15 to 16 assigned: `tokenizers` 0.23 knows them, PCRE2 10.42 (Unicode 14) does not.
constexpr std::pair<std::uint32_t, std::uint32_t> newer[] = {
#include "data/newer_code_points.inc"
};
bool is_newer(std::uint32_t c) {
  return std::any_of(std::begin(newer), std::end(newer), [&](auto const& r) { return c >= r.first && c <= r.second; });
}

json isolated(std::string const& pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
json const byte_level = {
    {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
json const digits = {{"type", "Digits"}, {"individual_digits", true}};

/// The pre-tokenizers of this family.
std::map<std::string, json> const& dialects() {
  static std::map<std::string, json> const all = {
      {"DeepSeek-V3",
       {isolated(R"(\p{N}{1,3})"), isolated("[一-龥぀-ゟ゠-ヿ]+"),
        isolated(
            R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
        byte_level}},
      {"DeepSeek-LLM",  // its long list of letters shortened
       {isolated("[\r\n]"),
        isolated(R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+)"),
        isolated("\\s?[!-/:-~！-／：-～‘-‟　-。]+"), isolated(R"(\s+$)"), isolated("[一-龥ࠀ-一가-퟿]+"), digits,
        byte_level}},
      {"DeepSeek-Coder",
       {isolated("[\r\n]"), isolated(R"(\s?\p{L}+)"), isolated(R"(\s?\p{P}+)"), isolated("[一-龥ࠀ-一가-퟿]+"),
        digits, byte_level}},
      {"GPT-4", {isolated(std::string(default_split)), byte_level}},
      {"GPT-2", {isolated(std::string(gpt2_split)), byte_level}}};
  return all;
}

/// A tokenizer.json with this pre-tokenizer and a token for each byte and each pair of bytes.
std::string pairs_of_bytes(json const& steps) {
  json vocab = json::object(), merges = json::array();
  auto const& letters = detail::byte_alphabet();
  vocab["<|end_of_text|>"] = 0;
  for (auto const& a : letters) vocab[a] = vocab.size();
  for (auto const& a : letters)
    for (auto const& b : letters) vocab[a + b] = vocab.size(), merges.push_back({a, b});
  json const added = {{{"id", 0},
                       {"content", "<|end_of_text|>"},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}}};
  return json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added},
              {"normalizer", nullptr},
              {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
              {"post_processor", nullptr},
              {"decoder", byte_level},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"vocab", vocab},
                {"merges", merges}}}}
      .dump();
}

/// Digits and numbers of Unicode 17, which `Digits` of `tokenizers` 0.23 knows, and none of the regex libraries.
bool is_newer_digit(std::uint32_t c) { return (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6); }

/// The code point between letters, doubled, behind a blank, before a digit, at a line's end and behind the only digit.
std::string in_context(std::uint32_t c) {
  std::string x;
  append_utf8(x, c);
  return "a" + x + "b " + x + x + "1" + x + " \n" + x + "b1" + x;
}

/// Indices of the texts whose ids are not those of the Python package.
std::vector<std::size_t> different(std::string const& tokenizer_json, std::vector<std::string> const& texts) {
  scratch dir;
  auto const name = dir.file("tokenizer.json", tokenizer_json), in = dir.file("texts.json", json(texts).dump()),
             out = (dir.path / "out.json").string();
  tenon_test::python("tokenizers_oracle.py", "encode " + name + " " + in + " " + out);
  auto const theirs = json::parse(tenon_test::slurp(out));
  encoder e(parse_tokenizer(tokenizer_json));
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::int32_t> ours;
    e.encode(texts[i], ours);
    if (ours != theirs["ids"][i].get<std::vector<std::int32_t>>()) all.push_back(i);
  }
  return all;
}

void every_code_point(json const& steps, bool whole) {
  auto const t = pairs_of_bytes(steps);
  bool const has_digits = std::find(steps.begin(), steps.end(), digits) != steps.end();
  std::vector<std::string> texts, single;
  std::size_t in_text = 0, used = 0;
  for (std::uint32_t c = 1; c < 0x110000; ++c) {
    bool const empty_planes = c >= 0x32500 && c < 0xE0000;  // nothing is assigned there
    if ((c >= 0xD800 && c < 0xE000) || (!whole && (empty_planes || (c > 0xE0200 && c < 0x10FF00)))) continue;
    if (has_digits && is_newer_digit(c)) continue;
    if (is_newer(c)) {
      if (whole || single.size() < 500) single.push_back(in_context(c));
      continue;
    }
    if (in_text++ % 16 == 0) texts.emplace_back();
    texts.back() += in_context(c), ++used;
  }
  for (auto const i : different(t, texts)) {
    DOCTEST_INFO("code points in: " << texts[i]);
    EXPECT(false);
  }
  EXPECT(used > (whole ? 1'000'000 : 190'000));
  char version[64] = {};
  pcre2_config_8(PCRE2_CONFIG_UNICODE_VERSION, version);
  if (std::string(version) == "14.0.0" && steps == dialects().at("DeepSeek-V3"))  // its patterns ask for every category
    EXPECT_EQ(different(t, single).size(), single.size());
}

TEST("every assigned code point is cut where the Python package cuts, but for those newer than PCRE2's Unicode") {
  every_code_point(dialects().at("DeepSeek-V3"), false);
}

TEST("live: all code points, all pre-tokenizers of the family" * doctest::skip(live::off())) {
  for (auto const& dialect : dialects()) {
    DOCTEST_INFO(dialect.first);
    every_code_point(dialect.second, true);
  }
}

TEST("random bytes, made text, and runs of blanks before line ends are cut alike in all pre-tokenizers") {
  std::vector<std::string> texts = {"  \n \n",     " \t x  ", "a  \n\n  b \n", "   ", "\n\n\n", "1234567 ٣٤٥ Ⅷ½ 一二三",
                                    "  trailing  "};
  std::uint64_t state = 5;
  auto const random = [&] { return state = detail::mix(state + 1); };
  for (int i = 0; i < 400; ++i) {
    std::string bytes, blanks;
    for (auto n = random() % 120; n > 0; --n) bytes += char(random());
    for (auto n = random() % 60; n > 0; --n) blanks += "  \n\t\r a1,\xE4"[random() % 9];
    for (auto* s : {&bytes, &blanks}) {
      std::string text;  // as a reader shows bytes: what is not UTF-8 becomes U+FFFD
      for (std::string_view rest = *s; !rest.empty();) {
        auto const good = std::min(first_invalid_utf8(rest), rest.size());
        text += rest.substr(0, good);
        if (good < rest.size()) text += "\xEF\xBF\xBD";
        rest.remove_prefix(std::min(good + 1, rest.size()));
      }
      texts.push_back(text);
    }
  }
  for (auto const& dialect : dialects()) {
    for (auto const i : different(pairs_of_bytes(dialect.second), texts)) {
      DOCTEST_INFO(dialect.first << ": " << json(texts[i]).dump());
      EXPECT(false);
    }
  }
}

TEST("hostile texts of 400,000 characters come to an end in all pre-tokenizers") {
  constexpr std::size_t n = 400'000;  // a step that looked at every pair of places would take hours
  std::vector<std::string> texts = {std::string(n, ' ') + "x", std::string(n, '\n') + "x", std::string(n, 'a'),
                                    std::string(n, '1'),       std::string(n, '!'),        std::string(n, '\'')};
  for (char const* piece : {"a ", " \n", "\xE4\xB8\x80", "\xCC\x81", "\t \r", "'s"}) {
    texts.emplace_back();
    while (texts.back().size() < n) texts.back() += piece;
    texts.back() += "x";
  }
  for (auto const& dialect : dialects()) {
    auto const t = parse_tokenizer(pairs_of_bytes(dialect.second));
    encoder e(t);
    for (auto const& text : texts) {
      std::vector<std::int32_t> ids;
      e.encode(text, ids);
      DOCTEST_INFO(dialect.first << ", " << text.substr(0, 8) << "...");
      EXPECT(t.decode(ids) == text);
    }
  }
}

TEST("patterns that the two engines read differently are refused") {
  for (char const* pattern : {R"(\w+)", R"(\bx)", R"(x\B)", R"(\h)", R"(\R)", R"(\X)", "[a[bc]]+", "[[:alpha:]]+",
                              "[a-z&&b]", "(?m:x)", "(?s).", R"(\p{N}{1,3}+)", R"(x{2}?)", R"(\Ga)", R"(\Qx\E)"})
    EXPECT_THROWS_WITH(splitter(split_step{pattern}), "Oniguruma read differently");
  for (char const* pattern : {R"([\[\]]+)", "[^]]x", "[]a]+", "(?i:x)|(?!y)z", R"(\s+$)", R"(\x{4E00}+)", "(?<!a)b"})
    splitter(split_step{pattern});
}
}  // namespace
