#pragma once
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "support/micro_batch.hpp"
#include "tenon/train/checkpointing.hpp"
#include "tenon/train/step.hpp"
#include "tenon/train/trainer.hpp"

/// Recipes that train in milliseconds, and the data for them.
namespace tiny {

namespace tn = tenon;
using namespace tenon::literals;

inline constexpr int vocab = 272, words = 32;  ///< bytes and a few; those that the text uses

/// 20 steps of 4 samples of 16 tokens in two micro-batches; the rates move in every step.
template <class Precision>
constexpr auto recipe(Precision p) {
  return tn::recipe(
      tn::model::deepseek_llm{
          .vocab = vocab, .hidden = 32, .layers = 2, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 32},
      tn::target::cpu{.memory = 8_GiB}, p, tn::horizon{20_steps},
      tn::batch{.sequence = 16_tokens, .global = 4_samples, .micro = 2_samples},
      tn::optimizer::adamw{.weight_decay = 0.1, .clip = 1.0},
      tn::schedule::warmup_cosine{.peak = 1e-2, .warmup = 5_steps, .floor = 0.1});
}

inline constexpr auto fp32 = recipe(tn::precision::fp32{});
inline constexpr auto bf16 = recipe(tn::precision::bf16{.emulated = true});
/// The scale grows after 4 and 8 steps, so that scale and tracker differ from their start when a run is cut.
inline constexpr auto fp16 = recipe(tn::precision::fp16{.emulated = true, .initial_scale = 1024, .growth_interval = 4});

inline constexpr auto sgd =
    fp32.with(tn::optimizer::sgd{.momentum = 0.9, .nesterov = true, .weight_decay = 0.01}, tn::memory::recompute{});

/// A schedule with state of its own: it halves the rate when the loss has not fallen for two steps.
// [plateau]
struct plateau {
  using axis = tn::axis::schedule;
  static constexpr std::string_view kind = "plateau";
  double peak = 1e-2;

  struct state {
    double best = 1e30, factor = 1;
    std::int64_t since = 0;
  };
  constexpr double at(tn::steps, tn::steps, tn::tokens) const { return peak; }
  constexpr tn::steps ramp(tn::steps, tn::tokens) const { return tn::steps{0}; }
  constexpr double adjusted(double rate, state const& s) const { return rate * s.factor; }
  constexpr void end_of_step(state& s, auto const& report) const {
    if (report.loss < s.best)
      s.best = report.loss, s.since = 0;
    else if (++s.since == 2)
      s.factor /= 2, s.since = 0;
  }
};
// [/plateau]
constexpr bool in_range(plateau const& p) { return p.peak > 0; }
inline constexpr auto adaptive = fp32.with(plateau{.peak = 0.2});

/// The batch that the data holds at `at`: a function of the cursor, as the loader's is. Each token decides the next.
inline tn::data::micro_batch batch_at(tn::data::cursor const& at) {
  random_batch rows(4, 16, words, 1000 + std::uint64_t(at.sample));
  for (std::size_t i = 0; i < rows.targets.size(); ++i)
    if (rows.targets[i] >= 0) rows.targets[i] = (rows.tokens[i] * 5 + 1) % words;
  tn::data::micro_batch b;
  b.at = b.next = at;
  b.next.sample += 4;
  b.samples = 4, b.sequence = 16, b.num_targets = rows.count();
  b.tokens = rows.tokens, b.targets = rows.targets, b.positions = rows.positions,
  b.document_start = rows.document_start;
  return b;
}

template <class Trainer>
std::vector<tn::train::step_report> run(Trainer& t, std::int64_t steps) {
  std::vector<tn::train::step_report> reports;
  for (std::int64_t i = 0; i < steps; ++i) reports.push_back(tn::train::step(t, batch_at(t.progress().cursor)));
  return reports;
}

/// Every byte of a trainer's state, by the name of the tensor or number.
struct snapshot {
  std::map<std::string, std::string> bytes;
  template <class T>
  void tensor(tn::train::file, std::string const& name, std::vector<std::int64_t> const& shape, T* data) {
    std::size_t n = 1;
    for (auto const s : shape) n *= std::size_t(s);
    bytes[name].assign(reinterpret_cast<char const*>(data), n * sizeof(T));
  }
  void number(std::string const& name, std::int64_t& value) {
    bytes[name].assign(reinterpret_cast<char const*>(&value), sizeof value);
  }
  void number(std::string const& name, double& value) {
    bytes[name].assign(reinterpret_cast<char const*>(&value), sizeof value);
  }
};
template <class Trainer, class Visitor>
void visit(Trainer& t, Visitor& v) {
  auto components = t.components();
  std::apply([&](auto&... c) { (std::remove_cvref_t<decltype(c)>::visit(c, v), ...); }, components);
}
template <class Trainer>
std::map<std::string, std::string> state_of(Trainer& t) {
  snapshot s;
  visit(t, s);
  return s.bytes;
}

/// A run directory, removed at the end.
struct directory {
  std::filesystem::path path;
  directory() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-train-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw tn::error("cannot make a temporary directory");
    path = name;
  }
  ~directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  directory(directory const&) = delete;
  directory& operator=(directory const&) = delete;
};

/// Saves and returns the checkpoint's directory, as it is found and verified at a new start.
template <class Trainer>
std::filesystem::path saved(std::filesystem::path const& run, Trainer& t) {
  tn::checkpoint::transaction<> to(run, t.progress().step);
  tn::train::save_state(to, t);
  tn::checkpoint::manifest m;
  m.step = t.progress().step;
  to.commit(m);
  auto const found = tn::checkpoint::newest_valid(run);
  if (!found.newest) throw tn::error("the checkpoint that was just written is not valid");
  return found.newest->directory;
}

}  // namespace tiny
