#pragma once
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/app/interrupt.hpp"
#include "tenon/app/machine.hpp"
#include "tenon/app/tool_arguments.hpp"
#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/deploy/base_model.hpp"
#include "tenon/deploy/chat_format.hpp"
#include "tenon/deploy/generate.hpp"
#include "tenon/deploy/model_source.hpp"
#include "tenon/deploy/text_stream.hpp"
#include "tenon/exec/store.hpp"
#include "tenon/models/of_recipe.hpp"

/// The program behind `./tenon generate`: text from the weights of a run or of a model directory.
namespace tenon::app {

inline constexpr char const* generate_usage =
    "generate RUN_OR_MODEL [options]\n"
    "  --prompt TEXT             how the text begins; may be given more than once\n"
    "  --prompts FILE            one prompt a line\n"
    "  --tokens N                at most so many new tokens (default 200)\n"
    "  --temperature X           0: always the likeliest token (default 0.8)\n"
    "  --top-k N, --top-p X      draw among the N likeliest; among those that hold the share X (default 0, 0.95)\n"
    "  --repetition-penalty X    above 1: what was said becomes less likely (default 1)\n"
    "  --stop TEXT               ends the text where this appears; may be given more than once\n"
    "  --seed N                  of the draws (default 1)\n"
    "  --step N                  a run's checkpoint of this step (default: the newest)\n"
    "  --threads N               default: one per core\n"
    "  --base DIR                where the model that a run left as it was is now (default: where it was)\n"
    "  --json                    one JSON object a prompt instead of text\n"
    "  --chat                    a conversation in the model's chat template: a line from the terminal is a question\n"
    "                            (or each --prompt is one); --system TEXT says what comes first\n";

/// What a text became.
struct generated {
  std::string prompt, text;
  std::int64_t tokens = 0;
  char const* finish = "length";  ///< "end" (the model ended it), "stop" (a stop text) or "length"
};

/// A model in memory, ready to continue texts.
template <auto const& R>
class text_model {
 public:
  using model = models::of_recipe<R>;
  using compute = models::compute_of<R>;

  /// `base`: where the model that a run was begun with is now, where it is not where it was.
  text_model(deploy::model_source const& s, int threads, std::optional<std::filesystem::path> const& base = {})
      : tokens_(deploy::load_model_tokenizer(s.given)), ends_(deploy::end_ids(s.given, tokens_)), team_(threads) {
    auto facts = deploy::require_model_of(s, R.model);
    if (tokens_.size() > R.model.vocab)
      throw error("the tokenizer of '" + s.given.string() + "' has " + std::to_string(tokens_.size()) +
                  " entries and the model's vocabulary " + std::to_string(int(R.model.vocab)) +
                  "; they do not belong together");
    deploy::whole_weights from(s.weights, s.manifest, base);
    if (from.has_base())
      if (auto const config = deploy::require_same_model(from.files().directory(), R.model)) facts = config->weights;
    facts.tell(from.files());
    for (auto const& p : exec::parameter_places<model>()) from.read(p.name, p.shape(), store_.master() + p.offset);
    from.finish();
    store_.refresh_copy();
    auto prepare = [](int) { exec::cpu::prepare_library<compute>(); };
    team_.run(prepare);
    // A run's documents began with this token; a model's prompts begin as its tokenizer says.
    if (s.is_run)
      begin_ = {tokens_.begin_of_text()};
    else
      begin_ = tokens_.definition().prefix;
  }

  data::tokenizer const& tokens() const { return tokens_; }
  /// Ids of a prompt, with what a text begins with in front; at least one.
  std::vector<std::int32_t> ids_of(std::string_view prompt, bool with_begin = true) const {
    auto ids = with_begin ? begin_ : std::vector<std::int32_t>{};
    auto const more = tokens_.encode(prompt, data::specials::parse);
    ids.insert(ids.end(), more.begin(), more.end());
    if (ids.empty()) ids.push_back(tokens_.end_of_text());
    return ids;
  }

  /// Continues `prompts` together, at most deploy's most_texts of them, by up to `most` tokens. `show(i, text)` gets
  /// each piece of text i as soon as it is certain.
  template <class Show>
  std::vector<generated> run(std::vector<std::vector<std::int32_t>> prompts, std::int64_t most,
                             deploy::sampling const& how, std::vector<std::string> const& stops, Show&& show) {
    std::int64_t longest = 0;
    for (auto const& p : prompts) longest = std::max(longest, std::int64_t(p.size()));
    if (longest >= model::positions)
      throw error("a prompt has " + std::to_string(longest) + " tokens and the model " +
                  std::to_string(model::positions) + " positions; shorten it");
    deploy::generator<model, compute> g(longest + most, team_.threads(), models::rotation_of(R.model), int(prompts.size()));
    std::vector<generated> all(prompts.size());
    std::vector<deploy::text_stream> streams(prompts.size(), deploy::text_stream(stops));
    auto const keep = [&](std::size_t i, std::string piece) {
      if (piece.empty()) return;
      show(i, std::string_view(piece));
      all[i].text += piece;
    };
    g.run_all(
        team_, store_, std::move(prompts), tokens_.size(), how,
        [&](std::size_t i, std::int32_t id) {
          ++all[i].tokens;
          keep(i, streams[i].push(tokens_.decode({&id, 1}, true)));
        },
        [&](std::size_t i, std::int32_t id) {
          if (streams[i].stopped()) return all[i].finish = "stop", true;
          if (std::find(ends_.begin(), ends_.end(), id) != ends_.end()) return all[i].finish = "end", true;
          return all[i].tokens >= most || interrupted();
        });
    for (std::size_t i = 0; i < all.size(); ++i) {
      keep(i, streams[i].finish());
      if (streams[i].stopped()) all[i].finish = "stop";
    }
    return all;
  }

 private:
  data::tokenizer tokens_;
  std::vector<std::int32_t> ends_, begin_;
  exec::cpu::team team_;
  exec::parameter_store<model, compute> store_;
};

/// What the options ask for.
struct generate_options {
  std::vector<std::string> prompts, stops;
  deploy::sampling how;
  std::int64_t tokens = 200;
  bool json = false;
};

inline generate_options read_generate_options(tool_arguments const& a) {
  generate_options o;
  auto const number = [&](char const* name, auto& into, auto fine, char const* range) {
    auto const written = a.get(name, "");
    if (written.empty()) return;
    try {
      parse_text(written, into);
    } catch (error const& e) {
      throw error("--" + std::string(name) + ": " + e.what());
    }
    if (!fine(into)) throw error("--" + std::string(name) + " is " + written + "; it takes " + range);
  };
  number(
      "tokens", o.tokens, [](auto n) { return n > 0; }, "a count above 0");
  number(
      "temperature", o.how.temperature, [](double x) { return x >= 0; }, "a number from 0");
  number(
      "top-k", o.how.top_k, [](auto n) { return n >= 0; }, "a count, or 0 for no bound");
  number(
      "top-p", o.how.top_p, [](double x) { return x > 0 && x <= 1; }, "a share above 0, at most 1");
  number(
      "repetition-penalty", o.how.repetition_penalty, [](double x) { return x > 0; }, "a number above 0");
  number(
      "seed", o.how.seed, [](auto) { return true; }, "a whole number");
  o.stops = a.all("stop");
  for (auto const& s : o.stops)
    if (s.empty()) throw error("--stop was given an empty text");
  o.prompts = a.all("prompt");
  if (auto const file = a.get("prompts", ""); !file.empty()) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw error("cannot read '" + file + "', the file of prompts");
    for (std::string line; std::getline(in, line);) o.prompts.push_back(line);
    if (o.prompts.empty()) throw error("'" + file + "' holds no prompt");
  }
  if (o.prompts.empty()) o.prompts.emplace_back();
  o.json = a.values.count("json") != 0;
  return o;
}

inline void print_generated(generated const& g, std::size_t index, std::size_t count, bool json) {
  if (json) {
    nlohmann::ordered_json const j{{"prompt", g.prompt}, {"text", g.text}, {"tokens", g.tokens}, {"finish", g.finish}};
    std::printf("%s\n", j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  } else if (count > 1) {
    std::printf("--- %zu of %zu\n%s%s\n", index + 1, count, g.prompt.c_str(), g.text.c_str());
  }
}

/// A conversation: questions from `o.prompts`, else line by line from standard input; answers are shown as they come.
template <auto const& R>
exit_code chat(text_model<R>& m, deploy::chat_format const& format, generate_options const& o,
               std::string const& system, bool ask_terminal) {
  std::vector<deploy::chat_message> messages;
  if (!system.empty()) messages.push_back({"system", system});
  bool const prompt = ask_terminal && ::isatty(0);
  for (std::size_t turn = 0; !interrupted(); ++turn) {
    std::string line;
    if (ask_terminal) {
      if (prompt) std::fputs("> ", stdout), std::fflush(stdout);
      if (!std::getline(std::cin, line)) break;
      if (line.empty()) continue;
    } else {
      if (turn == o.prompts.size()) break;
      line = o.prompts[turn];
    }
    messages.push_back({"user", line});
    std::vector<std::vector<std::int32_t>> ids(1, m.ids_of(format.text(deploy::chat_messages(messages), true), false));
    auto how = o.how;
    how.seed += turn;
    auto const answer = m.run(std::move(ids), o.tokens, how, o.stops, [&](std::size_t, std::string_view piece) {
      if (o.json) return;
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    });
    if (!o.json) std::fputs("\n", stdout);
    messages.push_back({"assistant", answer[0].text});
    if (o.json) print_generated({line, answer[0].text, answer[0].tokens, answer[0].finish}, turn, 1, true);
  }
  std::fflush(stdout);
  return interrupted() ? exit_code::interrupted : exit_code::done;
}

template <auto const& R>
exit_code generate_texts(tool_arguments const& a) {
  auto const o = read_generate_options(a);
  std::optional<std::int64_t> step;
  if (auto const written = a.get("step", ""); !written.empty()) {
    steps n;
    parse_text(written, n);
    step = n.count;
  }
  int threads = default_threads();
  if (auto const written = a.get("threads", ""); !written.empty()) {
    parse_text(written, threads);
    if (threads < 1) throw error("--threads takes a count above 0");
  }
  catch_interrupts();
  bool const chats = a.values.count("chat") != 0;
  if (!chats && a.values.count("system") != 0) throw error("--system belongs to --chat");
  auto const source = deploy::find_model(a.path, step);
  auto const base = a.get("base", "");
  text_model<R> m(source, threads, base.empty() ? std::nullopt : std::optional<std::filesystem::path>(base));
  if (chats)
    return chat<R>(m, deploy::load_chat_format(source.given, m.tokens().definition().end_of_text), o, a.get("system", ""),
                   a.values.count("prompt") + a.values.count("prompts") == 0);
  auto const begun = std::chrono::steady_clock::now();
  std::int64_t tokens = 0;
  constexpr std::size_t at_once = deploy::generator<typename text_model<R>::model, float>::most_texts;
  for (std::size_t first = 0; first < o.prompts.size() && !interrupted(); first += at_once) {
    auto const count = std::min(at_once, o.prompts.size() - first);
    std::vector<std::vector<std::int32_t>> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back(m.ids_of(o.prompts[first + i]));
    bool const stream = o.prompts.size() == 1 && !o.json;
    if (stream) std::fputs(o.prompts[0].c_str(), stdout), std::fflush(stdout);
    auto done = m.run(std::move(ids), o.tokens, o.how, o.stops, [&](std::size_t, std::string_view piece) {
      if (!stream) return;
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    });
    for (std::size_t i = 0; i < count; ++i) {
      done[i].prompt = o.prompts[first + i];
      tokens += done[i].tokens;
      print_generated(done[i], first + i, o.prompts.size(), o.json);
    }
    if (stream) std::fputs("\n", stdout);
  }
  std::fflush(stdout);
  double const took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  if (::isatty(2)) std::fprintf(stderr, "%lld tokens in %.2f s\n", static_cast<long long>(tokens), took);
  return interrupted() ? exit_code::interrupted : exit_code::done;
}

/// `int main(int argc, char** argv) { return tenon::app::generate<some_recipe>(argc, argv); }`: of the recipe, model
/// and precision are used. Returns an exit_code; a failure is one sentence on standard error.
template <auto const& R>
int generate(int argc, char const* const* argv) {
  try {
    require_isa();
    tool_arguments const a(argc, argv, "generate", 1,
                           {"prompt", "prompts", "tokens", "temperature", "top-k", "top-p", "repetition-penalty",
                            "stop", "seed", "step", "threads", "system", "base"},
                           {"json", "chat", "help"}, {"prompt", "stop"});
    if (a.values.count("help") != 0) return std::fputs(generate_usage, stdout), 0;
    if (a.path.empty()) throw error("'generate' needs a run or a model directory; --help lists its options");
    return static_cast<int>(generate_texts<R>(a));
  } catch (std::exception const& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(exit_code::failed);
  }
}

}  // namespace tenon::app
