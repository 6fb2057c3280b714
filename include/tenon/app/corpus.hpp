#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/app/machine.hpp"
#include "tenon/data/loader.hpp"
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

/// Reads, tokenises and stores the text that the command line names (or the default corpus), with progress on anything
/// longer than two seconds. Cached in RUN/data.
template <class Recipe>
data::prepared prepare_corpus(Recipe const& r, std::vector<std::string> const& paths, std::filesystem::path const& run,
                              int threads) {
  data::prepare_options o;
  if (paths.empty()) {
    o.source.paths = {libtorch_headers()};
    o.source.extensions = data::header_extensions();
    o.source.exclude = {"ATen/ops/"};  // thousands of generated files that differ in a name
  } else {
    o.source.paths = paths;
  }
  o.source.text_field = std::string(r.data.text.get());
  o.source.difficulty_field = difficulty_field(r.curriculum);
  o.source.bad = r.data.invalid == data::invalid::skip ? data::on_bad::skip : data::on_bad::stop;
  o.cache = run / "data";
  o.tokenizer_file = std::string(r.data.tokenizer.get());
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
  auto p = data::prepare(o, w);
  if (shown) std::fputs("\n", stderr);
  if (p.tokens.size() > r.model.vocab)
    throw error("the tokenizer has " + std::to_string(p.tokens.size()) + " entries and the model's vocabulary " +
                std::to_string(int(r.model.vocab)) +
                "; write a model.vocab of at least that many, or take a smaller tokenizer");
  return p;
}

/// Steps of the whole run. An epoch is every document of its stage once; only the data says how many samples that is.
template <class Recipe>
steps resolve_total(Recipe const& r, data::loader const& order) {
  if (r.horizon.in != horizon::unit::epochs) return total_steps(r.horizon, r.batch);
  data::cursor at{};
  while (at.epoch < r.horizon.count) at = order.advance(at, order.samples_in_epoch(at) - at.sample);
  auto const samples = order.samples_before(at);
  return steps{(samples + r.batch.global.count - 1) / r.batch.global.count};
}

}  // namespace tenon::app
