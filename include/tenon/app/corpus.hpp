#pragma once
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/app/machine.hpp"
#include "tenon/data/loader.hpp"
#include "tenon/data/mixture.hpp"
#include "tenon/data/prepare.hpp"
#include "tenon/observe/format.hpp"
#include "tenon/recipe.hpp"

namespace tenon::app {

inline data::curriculum_plan plan_of(curriculum::none const&, batch const&) { return {}; }
/// The recipe's stages as the loader takes them: bounds in epochs or samples; the last one has none.
template <std::size_t N>
data::curriculum_plan plan_of(curriculum::stages<N> const& c, batch const& b) {
  data::curriculum_plan plan;
  plan.by = c.by == curriculum::difficulty::length ? data::difficulty_by::length : data::difficulty_by::stored;
  for (std::size_t i = 0; i < N; ++i) {
    data::curriculum_stage s;
    s.low = c.list[i].low, s.high = c.list[i].high;
    if (i + 1 < N) {
      if (c.list[i].until.in == point_of_run::unit::epochs)
        s.until_epoch = c.list[i].until.count;
      else
        s.until_sample = c.list[i].until.count * b.global.count;
    }
    plan.stages.push_back(s);
  }
  return plan;
}

template <class Curriculum>
std::string difficulty_field(Curriculum const& c) {
  if constexpr (curriculum::has_stages<Curriculum>) {
    if (c.by == curriculum::difficulty::field) return std::string(c.field);
  }
  return "";
}

/// Whether a recipe is trained on conversations.
template <class Recipe>
inline constexpr bool on_conversations = objective::reads_conversations<decltype(Recipe::objective)>;

/// Throws tenon::error where a mixture did not get a path for each of its weights (a corpus takes any number), or where
/// conversations are needed and none were named.
template <class Recipe>
void require_paths(Recipe const& r, std::vector<std::string> const& paths) {
  if (on_conversations<Recipe> && paths.empty())
    throw error("objective::sft reads conversations, and no file of them was named; give --data chats.jsonl, each line "
                "{\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]}");
  if constexpr (data::is_mixture<decltype(r.data)>) {
    if (paths.size() != r.data.size)
      throw error("the recipe mixes " + std::to_string(r.data.size) + " sources and the command line names " +
                  std::to_string(paths.size()) + "; give --data once for each weight of data.weights, in their order");
  }
}

/// The text of a run, tokenised: one source, or one for each weight of a mixture. All have the same tokenizer.
struct run_text {
  std::vector<data::prepared> sources;
  data::tokenizer const& tokens() const { return sources.front().tokens; }
};

/// A tokenizer that is there already: its tokenizer.json, and the added token that ends a text (empty: the first
/// known).
struct given_tokenizer {
  std::string file, end_of_text;
};

/// How a run writes its conversations; null where it reads texts.
using chat_form = std::shared_ptr<data::chat::format const>;

/// Reads, tokenises and stores the text that the command line names (or the default corpus), with progress on anything
/// longer than two seconds. Cached in RUN/data. `given` is used unless the recipe names a tokenizer itself. `form`: of
/// conversations, which data.text names ("messages" where it is left at its default).
template <class Recipe>
run_text prepare_text(Recipe const& r, std::vector<std::string> const& paths, std::filesystem::path const& run,
                      int threads, given_tokenizer const& given = {}, chat_form const& form = {}) {
  data::prepare_options o;
  if (paths.empty()) {
    o.source.paths = {libtorch_headers()};
    o.source.extensions = data::header_extensions();
    o.source.exclude = {"ATen/ops/"};  // thousands of generated files that differ in a name
  } else {
    o.source.paths = paths;
  }
  o.source.text_field = std::string(r.data.text.get());
  o.source.conversations = form;
  if (form && o.source.text_field == "text") o.source.text_field = "messages";
  o.source.difficulty_field = difficulty_field(r.curriculum);
  o.source.bad = r.data.invalid == data::invalid::skip ? data::on_bad::skip : data::on_bad::stop;
  o.cache = run / "data";
  o.tokenizer_file = std::string(r.data.tokenizer.get());
  if (o.tokenizer_file.empty()) o.tokenizer_file = given.file, o.end_of_text = given.end_of_text;
  o.bpe.vocabulary = data::tokenizer_entries(r.data, r.model.vocab);
  o.store.held_out = r.data.held_out;
  o.store.threads = threads;
  data::watcher w;
  bool shown = false;
  w.progress = [&](char const* what, std::int64_t done, std::int64_t total, double) {
    std::fprintf(stderr, "\r%s: %d%%   ", what, total > 0 ? int(100 * done / total) : 0);
    shown = true;
  };
  w.stop = [] { return interrupted(); };
  std::vector<data::source_options> from(1, o.source);
  if constexpr (data::is_mixture<decltype(r.data)>) {
    from.assign(paths.size(), o.source);
    for (std::size_t i = 0; i < paths.size(); ++i) from[i].paths = {paths[i]};
  }
  run_text text{data::prepare_each(from, o, w)};
  if (shown) std::fputs("\n", stderr);
  if (text.tokens().size() > r.model.vocab)
    throw error("the tokenizer has " + std::to_string(text.tokens().size()) + " entries and the model's vocabulary " +
                std::to_string(int(r.model.vocab)) +
                "; write a model.vocab of at least that many, or take a smaller tokenizer");
  return text;
}

/// How a run's documents share a sample.
template <class Recipe>
inline constexpr data::packing packing_of = on_conversations<Recipe> ? data::packing::whole : data::packing::stream;

/// The order in which a run sees its text: a loader, or a mixture_loader over the sources of a mixture.
template <class Recipe>
auto order_of(Recipe const& r, run_text const& text) {
  auto const one = [&](data::prepared const& p, data::curriculum_plan const& plan) {
    return data::loader(p.corpus, data::split::train, r.batch.sequence.count, r.seed.value, p.tokens.begin_of_text(),
                        plan, packing_of<Recipe>);
  };
  if constexpr (data::is_mixture<decltype(r.data)>) {
    std::vector<data::loader> all;
    for (auto const& p : text.sources) all.push_back(one(p, {}));
    return data::mixture_loader(std::move(all), r.data.weights);
  } else {
    return one(text.sources.front(), plan_of(r.curriculum, r.batch));
  }
}

/// What the checkpoint keeps to know the text again: the hash of the store, or that of all stores and their shares.
inline std::string fingerprint(data::loader const& order) { return order.corpus().hash(); }
inline std::string fingerprint(data::mixture_loader const& order) { return order.hash(); }

/// What the rules ask of the data.
inline rules::known known_from(data::loader const& order) {
  return {.samples_per_epoch = samples{order.samples_in_epoch({})}};
}
inline rules::known known_from(data::mixture_loader const&) { return {}; }

/// The part of the run's samples that comes from source `s`, out of mixture_pattern::period.
inline std::int64_t share_of(data::loader const&, std::size_t) { return data::mixture_pattern::period; }
inline std::int64_t share_of(data::mixture_loader const& order, std::size_t s) { return order.pattern().shares()[s]; }

/// What became of the conversations that source `s` is trained on: "  37 ... in 9 samples, 81 % of their rows; ...".
inline std::string packing_text(data::packing_counts const& c, std::int64_t samples, std::int64_t sequence) {
  auto const n = [](std::int64_t x) { return observe::grouped(x); };
  std::string text = n(c.conversations) + " conversations in " + n(samples) + " samples, " +
                     n(100 * c.rows / (samples * sequence)) + " % of their rows; " + n(c.targets) + " of " + n(c.rows) +
                     " tokens are answers";
  if (c.cut > 0) text += "; " + n(c.cut) + " longer than " + n(sequence) + " tokens are cut there";
  if (c.left_out > 0) text += "; " + n(c.left_out) + " whose answers lie behind that are left out";
  return text;
}
inline data::loader const& source_of(data::loader const& order, std::size_t) { return order; }
inline data::loader const& source_of(data::mixture_loader const& order, std::size_t s) { return order.sources()[s]; }

/// Steps of the whole run. An epoch is every document of its stage once; only the data says how many samples that is.
template <class Recipe>
steps resolve_total(Recipe const& r, data::mixture_loader const&) {
  return total_steps(r.horizon, r.batch);  // in epochs it is refused by a rule
}
template <class Recipe>
steps resolve_total(Recipe const& r, data::loader const& order) {
  if (r.horizon.in != horizon::unit::epochs) return total_steps(r.horizon, r.batch);
  data::cursor at{};
  while (at.epoch < r.horizon.count) at = order.advance(at, order.samples_in_epoch(at) - at.sample);
  auto const samples = order.samples_before(at);
  return steps{(samples + r.batch.global.count - 1) / r.batch.global.count};
}

}  // namespace tenon::app
