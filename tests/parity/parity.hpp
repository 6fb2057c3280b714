#pragma once
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "golden/golden.hpp"
#include "golden/hashed.hpp"
#include "live/live.hpp"
#include "support/test.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"
#include "tenon/models/deepseek_v3.hpp"
#include "tenon/nn/rotation.hpp"

/// A tiny model against transformers' own (tests/golden/parity.py): names, logits, loss, every gradient, and 64 greedy
/// tokens with a cache. The weights of both are a function of name and index.
namespace parity {

namespace tn = tenon;
using tn::model::rope_scaling;
using tn::model::rope_type;
using hashed::mixed, hashed::value;

/// The rotary scalings of parity.py, by name.
inline rope_scaling scaling(std::string const& name) {
  if (name == "linear") return {.type = rope_type::linear, .factor = 2};
  if (name == "llama3") return {.type = rope_type::llama3, .factor = 4, .original = 32};
  if (name == "yarn") return {.type = rope_type::yarn, .factor = 4, .original = 32, .mscale = 1, .mscale_all_dim = 1};
  if (name == "yarn_plain") return {.type = rope_type::yarn, .factor = 4, .original = 32};
  return {};
}
inline constexpr std::uint32_t yarn_score =
    tn::nn::bits(rope_scaling{.type = rope_type::yarn, .factor = 4, .original = 32, .mscale_all_dim = 1}.score_factor());
inline constexpr std::uint32_t plain_score = tn::nn::bits(1.0), eps = tn::nn::bits(1e-5);

template <int Rank, std::uint32_t Score>
using latent = tn::models::latent_shape<4, Rank, 16, 8, 8, 12, Score>;
template <int Groups, tn::nn::gate Gate, bool Normalised>
using routing = tn::nn::routing<8, 3, Groups, Groups == 1 ? 1 : 2, Gate, Normalised,
                                tn::nn::bits(Gate == tn::nn::gate::sigmoid ? 2.5 : 1.5)>;
template <int Rank, int Groups, int Dense, bool Tied, std::uint32_t Score = plain_score, bool Normalised = true,
          int Modules = 0>
using v3 = tn::models::deepseek_v3<48, 32, 2, Dense, 40, 128, Tied, latent<Rank, Score>,
                                   tn::models::expert_shape<12, 1, routing<Groups, tn::nn::gate::sigmoid, Normalised>>,
                                   eps, 0, Modules>;
template <int Rank, int Groups, int Dense, bool Tied, std::uint32_t Score = plain_score, int Shared = 1>
using v2 = tn::models::deepseek_v2<48, 32, 2, Dense, 40, 128, Tied, latent<Rank, Score>,
                                   tn::models::expert_shape<12, Shared, routing<Groups, tn::nn::gate::softmax, false>>,
                                   eps>;
template <int KvHeads, bool Tied>
using dense = tn::models::deepseek_llm<48, 32, 2, 4, KvHeads, 40, 128, Tied, eps>;

/// How far from transformers; of one model or the worst of several.
struct deviation {
  double logits = 0, loss = 0, gradients = 0;
  std::string gradient;
  void include(deviation const& o) {
    logits = std::max(logits, o.logits), loss = std::max(loss, o.loss);
    if (o.gradients > gradients) gradients = o.gradients, gradient = o.gradient;
  }
};

template <class Model>
class rig {
 public:
  static constexpr std::int64_t samples = 2, sequence = 24, rows = samples * sequence, vocab = 48, longest = 72;
  rig(golden const& file, std::string const& rope, int members)
      : file_(file), team_(members), memory_(longest, members, longest, {10000, scaling(rope)}) {
    auto const salt = std::uint64_t(file.integers("salt")[0]);
    for (auto const& p : tn::exec::parameter_places<Model>())
      for (std::int64_t i = 0; i < p.size(); ++i)
        store_.master()[p.offset + i] = value(p.name, std::uint64_t(i), salt);
    std::fill_n(store_.gradient(), store_.size, std::nanf(""));  // nothing is cleared beforehand
    for (auto const t : file.integers("tokens")) tokens_.push_back(std::int32_t(t));
    auto const labels = file.integers("labels");  // row r predicts label r + 1; -100 means no loss
    for (std::int64_t i = 0; i < rows; ++i) {
      auto const next = (i + 1) % sequence == 0 ? -100 : labels[std::size_t(i) + 1];
      targets_.push_back(next < 0 ? -1 : std::int32_t(next));
      count_ += next >= 0;
    }
    for (int sample = 0; sample < 3; ++sample)
      for (std::int32_t i = 0; i < std::int32_t(sequence); ++i) positions_.push_back(i), start_.push_back(0);
  }

  deviation compare() {
    std::set<std::string> ours, theirs;
    for (auto const& p : tn::exec::parameter_places<Model>()) ours.insert(p.name);
    for (auto const& [name, unused] : file_.tensors())
      for (char const* prefix : {"gradient/", "state/"})
        if (name.rfind(prefix, 0) == 0) theirs.insert(name.substr(std::string(prefix).size()));
    EXPECT((ours == theirs));

    deviation d;
    auto const want = file_.reals("logits");
    auto const have = logits();
    d.logits = largest_difference(have.data(), want);
    double const golden_loss = file_.reals("loss")[0];
    d.loss = std::abs(forward_backward() - golden_loss) / golden_loss;
    if constexpr (Model::modules > 0) {
      double further = 0, golden_further = file_.reals("further")[0];
      for (auto const& m : memory_.saved.further)
        further += tn::nn::sum_of_tiles(m.loss, rows) / double(count_ * Model::modules);
      d.loss = std::max(d.loss, std::abs(further - golden_further) / golden_further);
    }
    for (auto const& p : tn::exec::parameter_places<Model>()) {
      if (p.parameter_role == tn::nn::role::router_bias) continue;
      double const off = gradient_deviation(p);
      if (!(off <= d.gradients)) d.gradients = off, d.gradient = p.name;
    }
    return d;
  }

  /// Greedy continuation of the prompt, through the cache.
  std::vector<std::int64_t> greedy() {
    using cache_type = typename Model::template cache<float>;
    tn::exec::buffer room(tn::nn::activation_bytes<cache_type>(longest, team_.size()));
    cache_type cache{};
    tn::nn::bind_activations(cache, room.data(), longest, team_.size());
    std::vector<std::int32_t> text, position, none(std::size_t(longest), 0);
    for (auto const t : file_.integers("prompt")) text.push_back(std::int32_t(t));
    for (std::int32_t i = 0; i < std::int32_t(longest); ++i) position.push_back(i);
    auto const prompt = text.size();
    for (std::int64_t past = 0; std::int64_t(text.size()) < longest;) {
      auto b = batch(1, std::int64_t(text.size()) - past);
      b.tokens = text.data() + past, b.positions = position.data() + past, b.document_start = none.data();
      b.past = past;
      each_member([&](auto& x) { Model::decode(x, store_, b, memory_.saved, cache); });
      past = std::int64_t(text.size());
      float const* const l = memory_.saved.head.logits.data;
      text.push_back(std::int32_t(std::max_element(l, l + vocab) - l));
    }
    return {text.begin() + std::ptrdiff_t(prompt), text.end()};
  }

  auto const& store() const { return store_; }

 private:
  template <class F>
  void each_member(F&& f) {
    auto region = [&](int member) {
      tn::exec::cpu::executor<float> x(team_, member, memory_.workspace(member), memory_.shared());
      f(x);
    };
    team_.run(region);
  }
  tn::nn::micro_batch batch(std::int64_t num_samples, std::int64_t length) const {
    return {.samples = num_samples,
            .sequence = length,
            .tokens = tokens_.data(),
            .targets = targets_.data(),
            .positions = positions_.data(),
            .document_start = start_.data(),
            .rotary_cos = memory_.rotary_cos,
            .rotary_sin = memory_.rotary_sin,
            .further_weight = Model::modules > 0 ? 0.3f / float(Model::modules) : 0.f};
  }
  /// Rows without a target keep their logits in memory.
  std::vector<float> logits() {
    std::vector<std::int32_t> const none(std::size_t(rows), -1);
    auto b = batch(samples, sequence);
    b.targets = none.data();
    each_member([&](auto& x) { Model::evaluate(x, store_, b, memory_.saved); });
    return {memory_.saved.head.logits.data, memory_.saved.head.logits.data + rows * vocab};
  }
  double forward_backward() {
    each_member([&](auto& x) {
      tn::nn::clear_tiles(x, memory_.saved.head.loss, rows);
      if constexpr (Model::modules > 0)
        for (auto const& m : memory_.saved.further) tn::nn::clear_tiles(x, m.loss, rows);
      Model::forward_backward(x, store_, batch(samples, sequence), memory_.saved, memory_.scratch, 1.f / float(count_),
                              true);
    });
    return tn::nn::sum_of_tiles(memory_.saved.head.loss, rows) / double(count_);
  }
  /// Relative to the gradient's norm: of the whole gradient where the file has it, else the largest of norm and four sums
  /// with signs, each of which has the size of the norm.
  double gradient_deviation(tn::nn::parameter_place const& p) const {
    float const* const have = store_.gradient() + p.offset;
    auto const n = std::size_t(p.size());
    auto const want = file_.reals("gradient/" + p.name);
    double const norm = std::max(want[0], 1e-30);
    if (file_.tensors().count("full/" + p.name) != 0)
      return relative_distance(have, file_.reals("full/" + p.name).data(), n) * (want[0] > 0) + (want[0] == 0) * size_of(have, n);
    double off = std::abs(size_of(have, n) - want[0]);
    for (std::uint64_t v = 0; v < 4; ++v) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += double(have[i]) * (1 - 2 * (mixed(p.name, i, 1000 + v) & 1));
      off = std::max(off, std::abs(sum - want[v + 1]));
    }
    return want[0] == 0 ? off : off / norm;
  }
  static double size_of(float const* g, std::size_t n) {
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += double(g[i]) * g[i];
    return std::sqrt(squares);
  }
  static double largest_difference(float const* have, std::vector<double> const& want) {
    double off = 0, size = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      off = std::max(off, std::abs(have[i] - want[i])), size = std::max(size, std::abs(want[i]));
    return off / size;
  }

  golden const& file_;
  tn::exec::parameter_store<Model, float> store_;
  tn::exec::cpu::team team_;
  tn::exec::activations<Model, float> memory_;
  std::vector<std::int32_t> tokens_, targets_, positions_, start_;
  std::int64_t count_ = 0;
};

/// Says at the end of the program how many models were compared and what was the worst.
struct summary {
  int models = 0;
  deviation worst;
  ~summary() {
    if (models > 0)
      std::printf("parity: %d models, worst deviation of logits %.1e, loss %.1e, gradients %.1e (%s)\n", models,
                  worst.logits, worst.loss, worst.gradients, worst.gradient.c_str());
  }
};
inline summary total;

inline constexpr double logits_tolerance = 1e-5, gradient_tolerance = 1e-4;

/// Which models transformers writes under --live: those of the golden files, or the whole product (tests/parity/matrix).
#ifdef TENON_PARITY_MATRIX
inline constexpr bool matrix = true;
#else
inline constexpr bool matrix = false;
#endif

/// Where the golden files are: those of the repository, or under --live files that transformers writes now, with every
/// gradient in full. TENON_PARITY_FILES names a directory that holds such files already.
inline std::filesystem::path const& directory() {
  static std::filesystem::path const where = [] {
    if (auto const* const given = std::getenv("TENON_PARITY_FILES")) return std::filesystem::path(given);
    if (live::off()) return std::filesystem::path(__FILE__).parent_path().parent_path() / "golden";
    auto const fresh = std::filesystem::temp_directory_path() / ("tenon-parity-" + std::to_string(::getpid()));
    std::filesystem::create_directories(fresh);
    auto const result = live::python("../golden/parity.py", fresh.string(), std::string(matrix ? "matrix" : "golden"));
    if (result.code != 0) throw tn::error("parity.py failed: " + result.output);
    return fresh;
  }();
  return where;
}
struct remove_fresh_files {
  remove_fresh_files() { directory(); }  // made before, so that it is still there at the end
  ~remove_fresh_files() {
    std::error_code ignored;
    if (!live::off() && std::getenv("TENON_PARITY_FILES") == nullptr) std::filesystem::remove_all(directory(), ignored);
  }
};

/// `keep(rig)`: what else is done with each model.
template <class Model, class Keep>
void agrees(std::string const& name, std::string const& rope, Keep&& keep) {
  static remove_fresh_files const at_the_end;
  golden const file(directory(), name);
  EXPECT_EQ(file.tensors().count("full/model.embed_tokens.weight"), live::off() ? 0u : 1u);
  ++total.models;
  for (int members : {1, 3}) {
    rig<Model> r(file, rope, members);
    auto const d = r.compare();
    DOCTEST_INFO(name << " on " << members << " members: logits " << d.logits << ", loss " << d.loss << ", gradients "
                      << d.gradients << " (" << d.gradient << ")");
    EXPECT(d.logits <= logits_tolerance);
    EXPECT(d.loss <= logits_tolerance);
    EXPECT(d.gradients <= gradient_tolerance);
    EXPECT((r.greedy() == file.integers("greedy")));
    total.worst.include(d);
    if (members == 1) keep(r);
  }
}
template <class Model>
void agrees(std::string const& name, std::string const& rope) {
  agrees<Model>(name, rope, [](auto const&) {});
}

}  // namespace parity
