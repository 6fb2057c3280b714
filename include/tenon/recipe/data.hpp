#pragma once
#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "tenon/core/fixed.hpp"
#include "tenon/recipe/axes.hpp"

namespace tenon::data {

/// What to do with a record that cannot be used (invalid UTF-8, malformed JSON, a missing field).
enum class invalid {
  stop,  ///< end with file, line and reason
  skip   ///< count it, report the count, go on
};

/// Text from the paths given on the command line (directory, text files or JSONL), byte-level BPE, packed documents. A
/// sample is found by its number, so a resumed run goes on with the sample that it would have had.
struct corpus {
  using axis = tenon::axis::data;
  static constexpr std::string_view kind = "corpus";
  static constexpr std::string_view read_by = "app::prepare_text";
  static constexpr bool resumes_exactly = true;

  fixed<int> tokenizer_vocab = 0;                ///< entries of the tokenizer; 0 means the model's vocabulary
  double held_out = 0.05;                        ///< share of documents kept for evaluation, in [0, 1)
  data::invalid invalid = data::invalid::stop;   ///< what a bad record does
  operational<std::string_view> text = "text";   ///< JSONL field that holds the text
  operational<std::string_view> tokenizer = "";  ///< a tokenizer.json to use; empty: train one on the corpus
};

/// Several sources in fixed proportions: the i-th weight belongs to the i-th path given on the command line. Weights
/// count samples, relative to their sum. Made by mixed, or as an aggregate: mixture<2>{.weights = {0.7, 0.3}}.
template <std::size_t N>
struct mixture {
  using axis = tenon::axis::data;
  static constexpr std::string_view kind = "mixture";
  static constexpr std::string_view read_by = "app::prepare_text";
  static constexpr bool resumes_exactly = true;
  static constexpr std::size_t size = N;

  std::array<double, N> weights{};  ///< share of each source in the samples, relative to their sum; required
  fixed<int> tokenizer_vocab = 0;   ///< as corpus: entries of the one tokenizer over all sources
  double held_out = 0.05;           ///< share of each source's documents kept for evaluation, in [0, 1)
  data::invalid invalid = data::invalid::stop;   ///< what a bad record does
  operational<std::string_view> text = "text";   ///< JSONL field that holds the text
  operational<std::string_view> tokenizer = "";  ///< a tokenizer.json to use; empty: train one on all sources
};

/// Sources in the proportions of `weights`, with the other fields of `of`: mixed({0.7, 0.3}, {.held_out = 0.1}).
template <std::size_t N>
constexpr mixture<N> mixed(double const (&weights)[N], corpus const& of = {}) {
  mixture<N> m{{}, of.tokenizer_vocab, of.held_out, of.invalid, of.text, of.tokenizer};
  for (std::size_t i = 0; i < N; ++i) m.weights[i] = weights[i];
  return m;
}

template <class Data>
inline constexpr bool is_mixture = false;
template <std::size_t N>
inline constexpr bool is_mixture<mixture<N>> = true;
/// Policies that read text from paths, with the fields of corpus.
template <class Data>
inline constexpr bool reads_text = std::is_same_v<Data, corpus> || is_mixture<Data>;

/// Index of the first weight that is not a number above 0 (up to 1e300); if all are, of the first below 1/1024 of the
/// sum, whose source would get no sample of mixture_pattern's period; -1 if none.
template <std::size_t N>
constexpr int first_bad_weight(mixture<N> const& m) {
  double sum = 0;
  for (std::size_t i = 0; i < N; ++i) {
    if (!(m.weights[i] > 0 && m.weights[i] <= 1e300)) return static_cast<int>(i);
    sum += m.weights[i];
  }
  for (std::size_t i = 0; i < N; ++i)
    if (m.weights[i] / sum < 1.0 / 1024) return static_cast<int>(i);
  return -1;
}

/// Entries of the tokenizer with the default resolved.
template <class Data>
constexpr int tokenizer_entries(Data const& c, int model_vocab) {
  return c.tokenizer_vocab == 0 ? model_vocab : c.tokenizer_vocab.get();
}

}  // namespace tenon::data
