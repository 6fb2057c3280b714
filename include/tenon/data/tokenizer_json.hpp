#pragma once
// tokenizer.json of Hugging Face `tokenizers`: read, write, and refuse what is not understood.
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tenon/core/error.hpp"
#include "tenon/data/tokenizer.hpp"

namespace tenon::data {

namespace detail {

/// The byte alphabet of GPT-2: every byte as one printable character (bytes 33-126, 161-172, 174-255 as themselves, the
/// other 68 as U+0100, U+0101, ... in byte order), UTF-8.
inline std::array<std::string, 256> const& byte_alphabet() {
  static std::array<std::string, 256> const table = [] {
    std::array<std::string, 256> t;
    std::uint32_t extra = 0x100;
    for (std::uint32_t b = 0; b < 256; ++b) {
      bool const plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      append_utf8(t[b], plain ? b : extra++);
    }
    return t;
  }();
  return table;
}

inline std::string to_alphabet(std::string_view bytes) {
  std::string out;
  for (char c : bytes) out += byte_alphabet()[std::uint8_t(c)];
  return out;
}

/// Bytes of a token written in the byte alphabet; false if it holds a character outside it.
inline bool from_alphabet(std::string_view text, std::string& bytes) {
  static std::unordered_map<std::string, char> const back = [] {
    std::unordered_map<std::string, char> m;
    for (int b = 0; b < 256; ++b) m[byte_alphabet()[std::size_t(b)]] = char(b);
    return m;
  }();
  bytes.clear();
  for (std::size_t i = 0; i < text.size();) {
    std::size_t const n = std::uint8_t(text[i]) < 0x80 ? 1 : 2;  // all alphabet characters are below U+0800
    auto const at = back.find(std::string(text.substr(i, n)));
    if (at == back.end()) return false;
    bytes += at->second;
    i += n;
  }
  return true;
}

/// Reads one tokenizer.json; every complaint names the file and the key.
class tokenizer_reader {
 public:
  using json = nlohmann::json;
  explicit tokenizer_reader(std::string name) : name_(std::move(name)) {}

  tokenizer_definition read(std::string text, std::string end_of_text) {
    json j;
    try {
      j = json::parse(text);
    } catch (json::exception const& e) {
      throw error(name_ + " is not JSON: " + e.what());
    }
    if (!j.is_object()) refuse("the top level", "is not an object");
    for (auto const& [k, v] : j.items()) {
      if (k != "version" && k != "truncation" && k != "padding" && k != "added_tokens" && k != "normalizer" &&
          k != "pre_tokenizer" && k != "post_processor" && k != "decoder" && k != "model")
        refuse(k, "is an unknown key");
      if ((k == "truncation" || k == "padding") && !v.is_null())
        refuse(k, "is set, and would change what a document is; set it to null");
    }
    tokenizer_definition d;
    try {
      normalizer(j.value("normalizer", json()));
      pre_tokenizer(j.value("pre_tokenizer", json()), d);
      post_processor(j.value("post_processor", json()), d);
      auto const decoder = j.value("decoder", json());
      if (!decoder.is_object() || decoder.value("type", "") != "ByteLevel") refuse("decoder", "is not ByteLevel");
      model(j.value("model", json()), j.value("added_tokens", json::array()), d);
    } catch (json::exception const& e) {
      throw error(name_ + " has a field of the wrong type: " + e.what());
    }
    d.end_of_text = std::move(end_of_text);
    if (d.end_of_text.empty()) {
      for (std::string_view known : {"<|end_of_text|>", "<|endoftext|>", "<｜end▁of▁sentence｜>", "</s>", "<|EOT|>"}) {
        for (auto const& a : d.added) {
          if (d.end_of_text.empty() && a.content == known) d.end_of_text = known;
        }
      }
      if (d.end_of_text.empty())
        refuse("added_tokens", "names no known end of text; say which added token ends a document");
    }
    d.source = std::move(text);
    return d;
  }

 private:
  [[noreturn]] void refuse(std::string_view what, std::string_view why) const {
    throw error(name_ + ": " + std::string(what) + " " + std::string(why));
  }
  void only(json const& j, std::string_view what, std::initializer_list<std::string_view> keys) const {
    for (auto const& [k, v] : j.items()) {
      if (std::find(keys.begin(), keys.end(), std::string_view(k)) == keys.end())
        refuse(std::string(what) + "." + k, "is an unknown key");
    }
  }
  void normalizer(json const& j) const {
    if (j.is_null() || (j.value("type", "") == "Sequence" && j.at("normalizers").empty())) return;
    refuse("normalizer",
           "of type " + j.value("type", "?") + " is not supported; only tokenizers that take text as it is are");
  }
  // Tokens around a text: read, kept apart from its ids (encode gives the text alone), and written back as it was.
  void post_processor(json const& j, tokenizer_definition& d) const {
    if (j.is_null()) return;
    auto const type = j.value("type", "");
    if (type == "Sequence") {
      for (auto const& p : j.at("processors")) post_processor(p, d);
    } else if (type == "TemplateProcessing") {
      if (!d.prefix.empty() || !d.suffix.empty()) refuse("post_processor", "has two templates, which is not supported");
      bool behind = false;
      for (auto const& part : j.at("single")) {
        if (part.contains("Sequence")) {
          if (behind) refuse("post_processor", "repeats the text, which is not supported");
          behind = true;
        } else {
          auto const name = part.at("SpecialToken").at("id").get<std::string>();
          for (auto const& id : j.at("special_tokens").at(name).at("ids"))
            (behind ? d.suffix : d.prefix).push_back(id.get<std::int32_t>());
        }
      }
      if (!behind) refuse("post_processor", "leaves the text out, which is not supported");
    } else if (type != "ByteLevel") {
      refuse("post_processor", "of type " + type + " is not supported");
    }
  }
  void pre_tokenizer(json const& j, tokenizer_definition& d) {
    if (!j.is_object()) refuse("pre_tokenizer", "is missing; a byte-level BPE needs ByteLevel");
    bool byte_level = false;
    auto one = [&](json const& p) {
      auto const type = p.value("type", "");
      if (byte_level) refuse("pre_tokenizer", "has a step after ByteLevel, which is not supported");
      if (type == "ByteLevel") {
        only(p, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
        if (p.value("add_prefix_space", true)) refuse("pre_tokenizer", "sets add_prefix_space, which is not supported");
        if (p.value("use_regex", true)) d.splits.push_back({std::string(gpt2_split)});
        byte_level = true;
      } else if (type == "Split") {
        only(p, "Split", {"type", "pattern", "behavior", "invert"});
        auto const& pattern = p.at("pattern");
        only(pattern, "Split.pattern", {"Regex", "String"});
        split_step step;
        step.literal = pattern.contains("String");
        step.pattern = pattern.at(step.literal ? "String" : "Regex").get<std::string>();
        auto const behavior = p.at("behavior").get<std::string>();
        bool const invert = p.value("invert", false);
        if (behavior == "Removed" && invert) {
          step.keep_gaps = false;
        } else if (behavior != "Isolated") {
          refuse("pre_tokenizer",
                 "has a Split with behavior " + behavior + (invert ? " (inverted)" : "") + ", which is not supported");
        }
        d.splits.push_back(step);
      } else if (type == "Digits") {
        only(p, "Digits", {"type", "individual_digits"});
        d.splits.push_back({p.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)"});
      } else {
        refuse("pre_tokenizer", "of type " + type + " is not supported");
      }
    };
    if (j.value("type", "") == "Sequence") {
      for (auto const& p : j.at("pretokenizers")) one(p);
    } else {
      one(j);
    }
    if (!byte_level) refuse("pre_tokenizer", "has no ByteLevel; only byte-level tokenizers are supported");
  }
  void model(json const& m, json const& added, tokenizer_definition& d) {
    if (!m.is_object() || m.value("type", "BPE") != "BPE") refuse("model", "is not BPE");
    only(m, "model",
         {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
          "byte_fallback", "ignore_merges", "vocab", "merges"});
    auto set = [&](char const* k) { return m.contains(k) && !m[k].is_null() && m[k] != "" && m[k] != 0.0; };
    for (char const* k : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
      if (set(k)) refuse(std::string("model.") + k, "is set, which is not supported");
    }
    d.ignore_merges = m.value("ignore_merges", false);
    auto put = [&](std::int64_t id, std::string bytes, std::string_view what) {
      if (id < 0 || id >= (1 << 24)) refuse(what, "has id " + std::to_string(id) + ", outside 0 to 2^24");
      if (std::size_t(id) >= d.tokens.size()) d.tokens.resize(std::size_t(id) + 1);
      if (!d.tokens[std::size_t(id)].empty()) refuse(what, "shares its id with another token");
      d.tokens[std::size_t(id)] = std::move(bytes);
    };
    std::unordered_map<std::string, std::int32_t> ids;
    std::string bytes;
    for (auto const& [text, id] : m.at("vocab").items()) {
      if (text.empty()) refuse("model.vocab", "holds an empty token");
      put(id.get<std::int64_t>(), from_alphabet(text, bytes) ? bytes : text, "token " + text);
      ids[text] = id.get<std::int32_t>();
    }
    for (auto const& merge : m.at("merges")) {
      std::string left, right;
      if (merge.is_string()) {  // the older dialect
        auto const both = merge.get<std::string>();
        auto const space = both.find(' ');
        if (space == std::string::npos || both.find(' ', space + 1) != std::string::npos)
          refuse("model.merges", "holds \"" + both + "\", which is not two tokens");
        left = both.substr(0, space), right = both.substr(space + 1);
      } else {
        if (!merge.is_array() || merge.size() != 2) refuse("model.merges", "holds an entry that is not a pair");
        left = merge[0].get<std::string>(), right = merge[1].get<std::string>();
      }
      auto const a = ids.find(left), b = ids.find(right);
      if (a == ids.end() || b == ids.end() || !ids.contains(left + right))
        refuse("merge " + left + " " + right, "uses a token that is not in the vocabulary");
      d.merges.emplace_back(a->second, b->second);
    }
    for (auto const& t : added) {
      only(t, "added_tokens", {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      added_token a{t.at("id").get<std::int32_t>(), t.at("content").get<std::string>(), t.value("special", false),
                    t.value("normalized", true)};
      for (char const* k : {"single_word", "lstrip", "rstrip"}) {
        if (t.value(k, false))
          refuse("added token " + a.content, std::string("sets ") + k + ", which is not supported");
      }
      auto const in_vocabulary = ids.find(a.content);
      if (in_vocabulary == ids.end())
        put(a.id, a.content, "added token " + a.content);
      else if (in_vocabulary->second != a.id)
        refuse("added token " + a.content, "has another id in the vocabulary");
      d.added.push_back(std::move(a));
    }
  }
  std::string name_;
};

}  // namespace detail

/// A tokenizer from the text of a tokenizer.json; `name` is used in complaints. `end_of_text`: the content of the added
/// token that ends a document; empty: the first known one that is there. Errors: anything that is not understood.
inline tokenizer parse_tokenizer(std::string json, std::string name = "tokenizer.json", std::string end_of_text = "") {
  auto definition = detail::tokenizer_reader(name).read(std::move(json), std::move(end_of_text));
  try {
    return tokenizer(std::move(definition));
  } catch (error const& e) {
    throw error(name + ": " + e.what());
  }
}

/// A tokenizer from a tokenizer.json on disk; see parse_tokenizer.
inline tokenizer load_tokenizer(std::filesystem::path const& path, std::string end_of_text = "") {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw error("cannot read the tokenizer " + path.string() + "; give the path of a tokenizer.json");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  return parse_tokenizer(std::move(text), path.string(), std::move(end_of_text));
}

/// The text of a tokenizer.json that `tokenizers` loads: what was read, unchanged, or one written from the definition.
inline std::string to_json(tokenizer const& t) {
  auto const& d = t.definition();
  if (!d.source.empty()) return d.source;
  using json = nlohmann::ordered_json;
  std::vector<std::string> text;
  std::vector<char> is_added(d.tokens.size(), 0);
  json added = json::array();
  for (auto const& a : d.added) {
    is_added[std::size_t(a.id)] = 1;
    added.push_back({{"id", a.id},
                     {"content", a.content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", a.normalized},
                     {"special", a.special}});
  }
  json vocabulary = json::object();
  for (std::size_t id = 0; id < d.tokens.size(); ++id) {
    text.push_back(is_added[id] ? d.tokens[id] : detail::to_alphabet(d.tokens[id]));
  }
  // ordered_json looks keys up one by one, so a large object is written by hand
  std::string vocab = "{";
  for (std::size_t id = 0; id < text.size(); ++id) {
    vocab += (id ? "," : "") + json(text[id]).dump() + ":" + std::to_string(id);
  }
  vocab += "}";
  json merges = json::array(), steps = json::array();
  for (auto const& m : d.merges) merges.push_back({text[std::size_t(m.first)], text[std::size_t(m.second)]});
  for (auto const& s : d.splits) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{s.literal ? "String" : "Regex", s.pattern}}},
                     {"behavior", s.keep_gaps ? "Isolated" : "Removed"},
                     {"invert", !s.keep_gaps}});
  }
  json const byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  steps.push_back(byte_level);
  json out = {{"version", "1.0"},
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
                {"ignore_merges", d.ignore_merges},
                {"vocab", "@vocab@"},
                {"merges", merges}}}};
  std::string written = out.dump();
  std::string const mark = "\"vocab\":\"@vocab@\"";
  return written.replace(written.rfind(mark), mark.size(), "\"vocab\":" + vocab);
}

/// Writes tokenizer.json. Errors: the file cannot be written.
inline void save_tokenizer(tokenizer const& t, std::filesystem::path const& path) {
  std::ofstream out(path, std::ios::binary);
  out << to_json(t) << std::flush;
  if (!out) throw error("cannot write " + path.string() + "; check the directory and the free space");
}

}  // namespace tenon::data
