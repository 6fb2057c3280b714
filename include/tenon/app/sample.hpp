#pragma once
#include <string>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/data/chat/conversation.hpp"
#include "tenon/data/tokenizer.hpp"
#include "tenon/deploy/generate.hpp"

namespace tenon::app {

/// Trained scalars, padding not counted.
template <class Trainer>
std::int64_t parameter_count(Trainer& t) {
  std::int64_t n = 0;
  for (auto const& p : t.engine().places()) n += p.size();
  return n;
}

/// Up to 400 tokens of text from the trained weights, with the prompt in front. With a chat form the prompt is a question,
/// and without a question there is no sample. Empty, too, where the trainer cannot generate (a module under autograd,
/// adapters) or the user interrupts.
template <class Trainer>
std::string sample_text(Trainer& t, data::tokenizer const& tokens, std::string const& prompt,
                        data::chat::format const* form = nullptr) {
  if (form != nullptr && prompt.empty()) return "";
  // Adapters stay apart in a trainer; `./tenon generate` merges them.
  if constexpr (requires {
                  t.engine().store();
                  requires(Trainer::engine_type::training::adapter_rank == 0);
                }) {
    using engine = typename Trainer::engine_type;
    t.team().limit(t.team().threads());
    deploy::generator<typename engine::model, typename engine::compute> g(400, t.team().threads(),
                                                                          models::rotation_of(t.recipe().model));
    std::vector<std::int32_t> text, made;
    if (form != nullptr) {
      data::chat::json const question = {{"role", "user"}, {"content", prompt}};
      text = tokens.encode(form->text(data::chat::json::array({question}), true));
    } else {
      text = {tokens.begin_of_text()};
      for (auto const id : tokens.encode(prompt)) text.push_back(id);
    }
    g.run(
        t.team(), t.engine().store(), text, tokens.size(), {.seed = t.recipe().seed.value},
        [&](std::int32_t id) { made.push_back(id); },
        [&](std::int32_t id) { return id == tokens.end_of_text() || interrupted(); });
    return interrupted() ? "" : prompt + (form != nullptr ? "\n" : "") + tokens.decode(made, form != nullptr) + "\n";
  } else {
    return "";
  }
}

}  // namespace tenon::app
