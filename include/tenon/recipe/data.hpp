#pragma once
#include <string_view>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"

namespace tenon::data {

/// What to do with a record that cannot be used (invalid UTF-8, malformed JSON, a missing field).
enum class invalid {
  stop,  ///< end with file, line and reason
  skip   ///< count it, report the count, go on
};

/// Text from the paths given on the command line (directory, text files or JSONL), byte-level BPE, packed documents.
struct corpus {
  using axis = tenon::axis::data;
  static constexpr std::string_view kind = "corpus";

  fixed<int> tokenizer_vocab = 0;                ///< entries of the tokenizer; 0 means the model's vocabulary
  double held_out = 0.05;                        ///< share of documents kept for evaluation, in [0, 1)
  data::invalid invalid = data::invalid::stop;   ///< what a bad record does
  operational<std::string_view> text = "text";   ///< JSONL field that holds the text
  operational<std::string_view> tokenizer = "";  ///< a tokenizer.json to use; empty: train one on the corpus
};

/// Entries of the tokenizer with the default resolved.
constexpr int tokenizer_entries(corpus const& c, int model_vocab) {
  return c.tokenizer_vocab == 0 ? model_vocab : c.tokenizer_vocab.get();
}

}  // namespace tenon::data
