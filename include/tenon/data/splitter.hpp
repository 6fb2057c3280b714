#pragma once
// The regular expressions of a tokenizer, run by PCRE2 so that they cut where Oniguruma (inside Hugging Face
// `tokenizers`) does.
#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 0
#endif
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/core/error.hpp"

namespace tenon::data {

/// The split of GPT-4 and Llama-3 (digits in threes, newlines kept with what they end); the default of a trained
/// tokenizer.
inline constexpr std::string_view default_split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// The split of GPT-2, which `ByteLevel` applies when its `use_regex` is true.
inline constexpr std::string_view gpt2_split =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// One cutting step of a pre-tokenizer.
struct split_step {
  std::string pattern = {};  ///< a regular expression, or plain text if `literal`
  bool literal = false;      ///< `pattern` is matched as it stands
  bool keep_gaps = true;  ///< text between matches is a piece too (behaviour "Isolated"); false: only matches are kept
  bool operator==(split_step const&) const = default;
};

/// A compiled split_step. Immutable and shared between threads; each thread brings its own `splitter::workspace`.
class splitter {
 public:
  /// Per-thread memory of the matcher.
  class workspace {
   public:
    workspace()
        : data_(pcre2_match_data_create_8(1, nullptr), &pcre2_match_data_free_8),
          context_(pcre2_match_context_create_8(nullptr), &pcre2_match_context_free_8),
          stack_(pcre2_jit_stack_create_8(32 << 10, 16 << 20, nullptr), &pcre2_jit_stack_free_8) {
      if (!data_ || !context_) throw error("out of memory while preparing the tokenizer's regular expression");
      if (stack_) pcre2_jit_stack_assign_8(context_.get(), nullptr, stack_.get());
    }

   private:
    friend class splitter;
    std::unique_ptr<pcre2_match_data_8, void (*)(pcre2_match_data_8*)> data_;
    std::unique_ptr<pcre2_match_context_8, void (*)(pcre2_match_context_8*)> context_;
    std::unique_ptr<pcre2_jit_stack_8, void (*)(pcre2_jit_stack_8*)> stack_;
    std::string substituted_;
  };

  /// Compiles `step`. Errors: a pattern that PCRE2 does not take, that Oniguruma reads differently, or that matches the
  /// empty text.
  explicit splitter(split_step step) : step_(std::move(step)) {
    if (!step_.literal) refuse_what_differs(step_.pattern);
    // White space before a line's end, looked for from every place of a long run of blanks, would take time in the
    // square of its length. Where it fails at a run's beginning it fails in all of it, so only the beginning is tried.
    std::string_view const pattern =
        step_.pattern == R"(\s+$)" && !step_.literal ? R"((?:\G|(?<!\s))\s+$)" : std::string_view(step_.pattern);
    int code = 0;
    PCRE2_SIZE where = 0;
    // ^ and $ are at the lines' ends in Oniguruma's Ruby syntax, and a line ends at a line feed alone.
    std::uint32_t const options = step_.literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
    std::unique_ptr<pcre2_compile_context_8, void (*)(pcre2_compile_context_8*)> const context(
        pcre2_compile_context_create_8(nullptr), &pcre2_compile_context_free_8);
    if (!context) throw error("out of memory while preparing the tokenizer's regular expression");
    pcre2_set_newline_8(context.get(), PCRE2_NEWLINE_LF);
    code_.reset(pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(), options, &code, &where,
                                context.get()),
                &pcre2_code_free_8);
    if (!code_) {
      throw error("the split pattern " + step_.pattern + " is not a regular expression that PCRE2 takes (character " +
                  std::to_string(where) + ": " + message(code) + ")");
    }
    jit_ = pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE) == 0;
    workspace w;
    if (find("", 0, w).first != std::string_view::npos) {
      throw error("the split pattern " + step_.pattern + " matches the empty text, so it does not cut; change it");
    }
  }

  split_step const& step() const { return step_; }

  /// Calls `piece(std::string_view)` for each piece of `text` (well-formed UTF-8), in order. `text` is cut as if
  /// nothing stood before or after it. Errors: a pattern that gives up on this text (its backtracking limit).
  template <class F>
  void split(std::string_view text, workspace& w, F&& piece) const {
    // U+180E is white space to PCRE2 and not to Oniguruma. U+2064 has the same length and category and is white space
    // to neither, so it stands in; offsets are unchanged.
    std::string_view subject = text;
    if (!step_.literal && text.find("\xE1\xA0\x8E") != std::string_view::npos) {
      w.substituted_.assign(text);
      for (std::size_t at = 0; (at = w.substituted_.find("\xE1\xA0\x8E", at)) != std::string::npos; at += 3) {
        w.substituted_.replace(at, 3, "\xE2\x81\xA4");
      }
      subject = w.substituted_;
    }
    std::size_t done = 0;
    while (done < text.size()) {
      auto const [begin, end] = find(subject, done, w);
      if (begin == std::string_view::npos) break;
      if (end == begin) throw error("the split pattern " + step_.pattern + " matched an empty piece; change it");
      if (begin > done && step_.keep_gaps) piece(text.substr(done, begin - done));
      piece(text.substr(begin, end - begin));
      done = end;
    }
    if (done < text.size() && step_.keep_gaps) piece(text.substr(done));
  }

 private:
  // Constructs that compile in both engines and mean something else in each.
  static void refuse_what_differs(std::string const& p) {
    auto const refuse = [&](std::string const& what) {
      throw error("the split pattern " + p + " contains " + what +
                  ", which PCRE2 and Oniguruma read differently; write it another way");
    };
    bool in_class = false;
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (p[i] == '\\' && i + 1 < p.size()) {
        char const c = p[++i];
        // Words, boundaries, hexadecimal digits or blanks, line ends, vertical space, clusters, places of a search.
        if (std::string_view("wWbBhHRXvVNKGQECcuo").find(c) != std::string_view::npos) refuse(std::string("\\") + c);
        if ((c == 'p' || c == 'P' || c == 'x') && i + 1 < p.size() && p[i + 1] == '{')
          i = std::min(p.find('}', i), p.size() - 1);
      } else if (p[i] == '[' && !in_class) {
        in_class = true;
        if (i + 1 < p.size() && p[i + 1] == '^') ++i;
        if (i + 1 < p.size() && p[i + 1] == ']') ++i;
      } else if (p[i] == '[') {
        refuse("a bracket in a character class");
      } else if (p[i] == ']' && in_class) {
        in_class = false;
      } else if (p.compare(i, 2, "&&") == 0) {
        refuse("&&");
      } else if (!in_class && p[i] == '}' && i > 0 && i + 1 < p.size() && (p[i + 1] == '+' || p[i + 1] == '?') &&
                 ((p[i - 1] >= '0' && p[i - 1] <= '9') || p[i - 1] == ',')) {
        refuse(p.substr(i, 2));
      } else if (!in_class && p.compare(i, 2, "(?") == 0) {
        // (?i: and the like only: m, s and x mean other things
        std::size_t k = i + 2;
        for (; k < p.size() && p[k] >= 'a' && p[k] <= 'z'; ++k)
          if (p[k] != 'i') refuse("(?" + std::string(1, p[k]));
      }
    }
  }
  static std::string message(int code) {
    char buffer[256] = {};
    pcre2_get_error_message_8(code, reinterpret_cast<PCRE2_UCHAR8*>(buffer), sizeof buffer);
    return buffer;
  }
  std::pair<std::size_t, std::size_t> find(std::string_view subject, std::size_t start, workspace& w) const {
    auto const* p = reinterpret_cast<PCRE2_SPTR8>(subject.data() == nullptr ? "" : subject.data());
    int const rc = jit_ ? pcre2_jit_match_8(code_.get(), p, subject.size(), start, 0, w.data_.get(), w.context_.get())
                        : pcre2_match_8(code_.get(), p, subject.size(), start, PCRE2_NO_UTF_CHECK, w.data_.get(),
                                        w.context_.get());
    if (rc == PCRE2_ERROR_NOMATCH) return {std::string_view::npos, std::string_view::npos};
    if (rc < 0) throw error("the split pattern " + step_.pattern + " gave up on a text: " + message(rc));
    PCRE2_SIZE const* v = pcre2_get_ovector_pointer_8(w.data_.get());
    return {v[0], v[1]};
  }

  split_step step_;
  std::shared_ptr<pcre2_code_8> code_;
  bool jit_ = false;
};

}  // namespace tenon::data
