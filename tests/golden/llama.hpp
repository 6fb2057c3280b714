#pragma once
#include <map>
#include <string>
#include <vector>

#include "golden/golden.hpp"
#include "tenon/exec/activations.hpp"
#include "tenon/exec/cpu/executor.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/deepseek_llm.hpp"

/// The two tiny llamas that transformers ran (make_goldens.py): our model of the same shape, with the golden weights.
namespace golden_llama {

using tied = tenon::models::deepseek_llm<48, 32, 2, 4, 1, 24, 64, true, tenon::nn::bits(1e-6)>;
using untied = tenon::models::deepseek_llm<48, 32, 2, 4, 2, 24, 64, false, tenon::nn::bits(1e-6)>;
inline constexpr std::int64_t samples = 2, sequence = 24, vocab = 48;
inline constexpr double theta = 10000;

template <class Model>
struct rig {
  golden file{Model::tied ? "llama_tied" : "llama_untied"};
  tenon::exec::parameter_store<Model, float> store;
  tenon::exec::cpu::team team;
  tenon::exec::activations<Model, float> memory;
  std::vector<std::int32_t> tokens, targets, positions, start;

  explicit rig(int members) : team(members), memory(samples * sequence, members, Model::positions, theta) {
    for (auto const& p : tenon::exec::parameter_places<Model>()) {
      auto const w = file.floats("weight/" + p.name);
      if (std::int64_t(w.size()) != p.size())
        throw tenon::error("the golden tensor '" + p.name + "' has another size than the model's");
      std::copy(w.begin(), w.end(), store.master() + p.offset);
    }
    store.refresh_copy();
    for (auto const t : file.integers("tokens")) tokens.push_back(std::int32_t(t));
    // transformers shifts the labels itself: row r predicts label r + 1; -100 means no loss.
    auto const labels = file.integers("labels");
    for (std::int64_t i = 0; i < samples * sequence; ++i) {
      auto const next = (i + 1) % sequence == 0 ? -100 : labels[std::size_t(i) + 1];
      targets.push_back(next < 0 ? -1 : std::int32_t(next));
      positions.push_back(std::int32_t(i % sequence));
      start.push_back(0);
    }
  }
  std::int64_t count() const {
    std::int64_t n = 0;
    for (auto const t : targets) n += t >= 0;
    return n;
  }
  template <class F>
  void each_member(F&& f) {
    auto region = [&](int member) {
      tenon::exec::cpu::executor<float> x(team, member, memory.workspace(member), memory.shared());
      tenon::nn::clear_tiles(x, memory.saved.head.loss, samples * sequence);
      f(x);
    };
    team.run(region);
  }
  tenon::nn::micro_batch batch(std::vector<std::int32_t> const& ids, std::vector<std::int32_t> const& wanted,
                               std::int64_t num_samples, std::int64_t length) const {
    return {.samples = num_samples,
            .sequence = length,
            .tokens = ids.data(),
            .targets = wanted.data(),
            .positions = positions.data(),
            .document_start = start.data(),
            .rotary_cos = memory.rotary_cos,
            .rotary_sin = memory.rotary_sin};
  }
  /// Mean -log p over the rows with a target, and the gradients in the store.
  double forward_backward() {
    each_member([&](auto& x) {
      Model::forward_backward(x, store, batch(tokens, targets, samples, sequence), memory.saved, memory.scratch,
                              1.f / float(count()), true);
    });
    return tenon::nn::sum_of_tiles(memory.saved.head.loss, samples * sequence) / double(count());
  }
  /// Logits of all rows by the training layers run forward. Rows without a target keep theirs in memory.
  std::vector<float> logits(std::vector<std::int32_t> const& ids, std::int64_t num_samples, std::int64_t length) {
    std::vector<std::int32_t> const none(ids.size(), -1);
    each_member([&](auto& x) { Model::evaluate(x, store, batch(ids, none, num_samples, length), memory.saved); });
    auto const* at = memory.saved.head.logits.data;
    return {at, at + ids.size() * vocab};
  }
};

}  // namespace golden_llama
