#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/core/error.hpp"

namespace tenon::data {

/// What to do with a document that cannot be used.
enum class on_bad {
  skip,  ///< leave it out, count it, and say so in the report
  stop,  ///< throw at the first one
};

/// One thing in the input that could not be used: where and why.
struct issue {
  std::string file = {};
  std::int64_t line = 0;  ///< from 1; 0: the file as a whole
  std::string reason = {};
  /// "file:line: reason".
  std::string text() const { return file + (line > 0 ? ":" + std::to_string(line) : "") + ": " + reason; }
};

/// What became of the input. Every byte is in `bytes` or accounted for by another count.
struct report {
  std::int64_t files = 0;      ///< read, in whole or in part
  std::int64_t documents = 0;  ///< kept
  std::int64_t bytes = 0;      ///< of text, in the documents kept
  std::int64_t tokens = 0;     ///< the end-of-text tokens included
  std::int64_t held_out = 0;   ///< documents of the held-out split (part of `documents`)
  std::int64_t held_out_bytes = 0;
  std::int64_t held_out_tokens = 0;
  std::int64_t duplicates =
      0;                   ///< documents whose text occurred before (kept; all copies are on one side of the split)
  std::int64_t cut = 0;    ///< documents made by cutting a file that is too long for one, or a lone file
  std::int64_t empty = 0;  ///< files or records without any text
  std::int64_t blank_lines = 0;    ///< of JSONL files
  std::int64_t other_files = 0;    ///< in the directories, left out: hidden, binary, or of another extension
  std::int64_t bad = 0;            ///< documents that could not be used
  std::int64_t bad_bytes = 0;      ///< their size
  std::vector<issue> issues = {};  ///< the first `max_issues` of them
  static constexpr std::size_t max_issues = 50;

  /// Counts an issue; under on_bad::stop throws it.
  void add(issue i, std::int64_t size, on_bad policy) {
    if (policy == on_bad::stop) throw error(i.text() + "; mend it, or skip and count such documents with --data.invalid=skip");
    ++bad;
    bad_bytes += size;
    if (issues.size() < max_issues) issues.push_back(std::move(i));
  }

  /// A few lines for people.
  std::string text() const {
    auto n = [](std::int64_t x) { return std::to_string(x); };
    std::string s = n(files) + " files, " + n(documents) + " documents, " + n(bytes) + " bytes, " + n(tokens) +
                    " tokens; held out: " + n(held_out) + " documents, " + n(held_out_bytes) + " bytes, " +
                    n(held_out_tokens) + " tokens\n";
    auto also = [&](std::int64_t x, char const* what) {
      if (x > 0) s += "  " + n(x) + " " + what + "\n";
    };
    also(duplicates, "documents are copies of others");
    also(cut, "documents are parts of a longer file");
    also(empty, "empty files or records");
    also(blank_lines, "blank lines");
    also(other_files, "files left out: hidden, binary, or of another extension");
    if (bad > 0) {
      s += "  " + n(bad) + " bad documents left out (" + n(bad_bytes) + " bytes):\n";
      for (auto const& i : issues) s += "    " + i.text() + "\n";
      if (std::size_t(bad) > issues.size()) s += "    and " + n(bad - std::int64_t(issues.size())) + " more\n";
    }
    return s;
  }
};

}  // namespace tenon::data
