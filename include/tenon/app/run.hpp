#pragma once
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "tenon/app/command_line.hpp"
#include "tenon/app/chat_data.hpp"
#include "tenon/app/company.hpp"
#include "tenon/app/corpus.hpp"
#include "tenon/app/exchange_text.hpp"
#include "tenon/app/first_weights.hpp"
#include "tenon/app/plan_json.hpp"
#include "tenon/app/plan_text.hpp"
#include "tenon/app/rehearsed.hpp"
#include "tenon/app/sample.hpp"
#include "tenon/app/session.hpp"
#include "tenon/exec/fits.hpp"
#include "tenon/recipe/violations.hpp"
#include "tenon/train/loop.hpp"
#include "tenon/train/trainer.hpp"

namespace tenon {
namespace app {

/// What a recipe's model needs, where that is known before the start.
template <auto const& R>
run_plan plan_or_nothing(int threads) {
  if constexpr (models::has_static_layers<std::remove_cvref_t<decltype(R.model)>>)
    return make_plan<R>(threads);
  else
    return {};
}

/// --plan: what would run.
template <auto const& R, class Recipe>
exit_code print_plan(Recipe const& r, command_line const& c, int threads) {
  auto n = numbers_of(r, team_of(r, threads));
  std::string text;
  if constexpr (models::has_static_layers<std::remove_cvref_t<decltype(R.model)>>)
    text = c.json ? plan_json(r, make_plan<R>(n), n) : plan_text(r, make_plan<R>(n), n);
  else
    text = c.json ? plan_json(r, run_plan{}, n) : plan_text(r, run_plan{}, n);
  if constexpr (models::has_static_layers<std::remove_cvref_t<decltype(R.model)>>) {
    if (!c.json) text += exchange_plan_text<R>(r, make_plan<R>(n));
  }
  std::fputs(text.c_str(), stdout);
  return exit_code::done;
}

/// What the text is and what became of it, source by source.
template <class Recipe, class Text, class Order>
void print_text(Recipe const&, command_line const& c, Text const& text, Order const& order) {
  for (std::size_t s = 0; s < text.sources.size(); ++s) {
    auto const& source = text.sources[s];
    for (auto const& note : source.notes) std::printf("%s\n", note.c_str());
    if (data::is_mixture<decltype(Recipe::data)>)
      std::printf("source      %s: %lld of %lld samples\n", c.data[s].c_str(),
                  static_cast<long long>(share_of(order, s)), static_cast<long long>(data::mixture_pattern::period));
    auto const report = source.input.text();
    std::printf("data        %s%s", report.c_str(), report.ends_with('\n') ? "" : "\n");
    if constexpr (on_conversations<Recipe>) {
      auto const& one = source_of(order, s);
      std::printf("training    %s\n", packing_text(one.packed(), one.samples_in_epoch({}), one.sequence()).c_str());
    }
  }
}

/// Puts the newest checkpoint of the run into the trainer, if there is one, and fills in what follows from it. Returns
/// whether there was. Throws tenon::error where it is another run, where the text has changed, or where none can be
/// used.
template <class Trainer, class Order>
bool resume(Trainer& trainer, Order const& order, command_line const& c, run_facts& facts) {
  auto const found = checkpoint::newest_valid(facts.run);
  for (auto const& sentence : found.damaged) std::printf("%s\n", sentence.c_str());
  if (!found.newest && !found.damaged.empty())
    throw error("no checkpoint in '" + (facts.run / "checkpoints").string() +
                "' can be used; restore one, or start anew with another --run directory");
  if (!found.newest) return false;
  auto const& m = found.newest->contents;
  auto const before = deploy::base_of(m);
  if (before && facts.base) deploy::require_same_base(*before, *facts.base);
  if (!c.init.empty() && !facts.base)
    throw error("--init gives a new run its first weights, and '" + facts.run.string() +
                "' has a checkpoint already; leave --init out to go on, or name a new directory with --run");
  facts.changes = m.changes;
  for (auto& change : accepted_changes(m, trainer.recipe(), c.changes)) facts.changes.push_back(change);
  if (m.data_fingerprint != fingerprint(order))
    throw error("the text has changed since the run was started (" + m.data_fingerprint.substr(0, 12) + " then, " +
                fingerprint(order).substr(0, 12) +
                " now), so it cannot go on exactly; restore the files, or start anew with another --run directory");
  train::load_state(found.newest->directory, trainer);
  facts.parent_step = m.step, facts.seconds_before = m.seconds_trained;
  facts.replay_samples = order.samples_before(trainer.progress().cursor);
  std::printf("resumed     at step %lld from %s\n", static_cast<long long>(m.step), found.newest->directory.c_str());
  for (auto const& sentence : machine_differences(m.machine, facts.machine))
    std::printf("note        %s: the numbers agree closely from here on, not bit for bit\n", sentence.c_str());
  return true;
}

/// The last lines before the first step.
template <auto const& R, class Trainer>
void print_start(Trainer& trainer, run_facts const& facts) {
  auto const& r = trainer.recipe();
  auto const d = digests(r);
  std::printf("recipe      %s: %s %sparameters, %s steps of %s tokens, %s\n", std::string(name_of_recipe<R>()).c_str(),
              observe::grouped(parameter_count(trainer)).c_str(),
              trainable::keeps_a_base<decltype(R.trainable)> ? "trained " : "", observe::grouped(trainer.total().count).c_str(),
              observe::grouped(tokens_per_step(r.batch).count).c_str(), std::string(Trainer::precision::kind).c_str());
  std::printf("digests     identity %s  layout %s  numbers %s\n", d.identity.substr(0, 12).c_str(),
              d.layout.substr(0, 12).c_str(), d.numbers.substr(0, 12).c_str());
  if (facts.machine.ranks > 1)
    std::printf("ranks       %lld, of %lld threads each\n", static_cast<long long>(facts.machine.ranks),
                static_cast<long long>(facts.machine.threads));
  std::printf("threads     %lld, %s, %s\n\n", static_cast<long long>(facts.machine.threads * facts.machine.ranks),
              facts.machine.isa.c_str(), facts.machine.blas.c_str());
  std::fflush(stdout);
}

template <class Trainer, class Host>
exit_code print_interrupted(Trainer const& trainer, Host const& host) {
  auto const step = static_cast<long long>(trainer.progress().step);
  if (host.last_saved().empty())
    std::printf("\nstopped at step %lld; nothing was saved, the recipe says checkpoint::never\n", step);
  else
    std::printf("\nstopped at step %lld; saved in %s. The same command goes on from there\n", step,
                host.last_saved().c_str());
  return exit_code::interrupted;
}

/// The first path of the command line and the recipe that does not exist; empty where all do.
template <class Recipe>
std::string missing_path(Recipe const& r, command_line const& c) {
  std::error_code unknown;
  for (auto const& path : c.data)
    if (!std::filesystem::exists(path, unknown)) return path;
  if (!c.init.empty() && !std::filesystem::exists(c.init, unknown)) return c.init;
  std::string const tokenizer(r.data.tokenizer.get());
  return tokenizer.empty() || std::filesystem::exists(tokenizer, unknown) ? std::string{} : tokenizer;
}

/// What a finished run leaves behind: a note about the baseline, a sample of text.
template <class Trainer, class Host>
void print_end(Trainer& trainer, Host& host, outputs& out, run_text const& text, run_facts const& facts,
               command_line const& c, chat_form const& form) {
  out.say(trainer.progress().step, host.whole_text_note(trainer));
  std::string const sample = sample_text(trainer, text.tokens(), c.prompt, form.get());
  if (!sample.empty()) {
    write_text(facts.run / "sample.txt", sample);
    out.say(trainer.progress().step, "a sample of text (temperature 0.8, top-p 0.95):\n");
    out.on_text({trainer.progress().step, "run/sample", sample});
  }
  out.finish(true);
  std::printf("\nwritten to  %s: checkpoints/, tokenizer.json, recipe.json, log.jsonl, tensorboard/%s\n",
              facts.run.c_str(), sample.empty() ? "" : ", sample.txt");
  if (form) std::printf("talk to it  ./tenon generate %s --chat\n", facts.run.c_str());
}

/// What the launch knows of the machine and its GPUs. `needed`: bytes of all ranks here.
template <auto const& R>
rules::known launched_on(std::int64_t needed, std::string_view missing) {
  rules::known k{.needed = bytes{needed}, .present = machine_memory(), .launched = true, .missing = missing};
  using place = train::engine_place<R>;
  if constexpr (place::is_device) {
    k.gpus = place::present(), k.local_rank = place::index(), k.present = bytes{0};
    if (k.local_rank < k.gpus) {
      auto const f = place::facts();
      k.gpu_capability = f.capability, k.present = bytes{f.memory};
    }
  }
  return k;
}

/// What all ranks of a run must have in common before they begin. Throws tenon::error, the same on all.
template <class Recipe, class Company>
void compare_starts(Recipe const& r, checkpoint::machine_facts const& m, Company& company) {
  company.compare("program (SHA-256)", m.binary), company.compare("LibTorch", m.libtorch);
  auto const d = digests(r);
  company.compare("identity digest", d.identity), company.compare("layout digest", d.layout);
  company.compare("numbers digest", d.numbers), company.compare("number of threads", std::to_string(m.threads));
}

/// From text to trained weights: prepares the data, resumes or initialises, loops, samples. `company`: the other ranks.
template <auto const& R, class Company>
exit_code train_in(Company& company, std::remove_cvref_t<decltype(R)> r, command_line const& c) {
  require_isa();
  run_facts facts;
  int const threads = company.threads(c.threads);
  std::string const missing = missing_path(r, c);
  facts.run = c.run.empty() ? std::filesystem::path("runs") / name_of_recipe<R>() : std::filesystem::path(c.run);
  std::string const templateless = directory_without_template(r, c.init, facts.run);
  // Ranks on CPUs share a machine's memory and peak; a rank on a GPU has one of its own.
  int const places = train::trainer<R>::on_device ? company.size() : company.hosts();
  auto known = launched_on<R>(plan_or_nothing<R>(threads).total() * company.size() / places, missing);
  known.templateless = templateless;
  known.without_base =
      trainable::keeps_a_base<decltype(r.trainable)> && c.init.empty() && !deploy::read_origin(facts.run);
  require_launch(r, known);
  facts.machine = machine_facts(threads);
  if constexpr (train::trainer<R>::on_device) {
    facts.machine.blas = "cuBLASLt on " + train::engine_place<R>::facts().name;
  }
  facts.machine.ranks = company.size();
  compare_starts(r, facts.machine, company);
  std::optional<checkpoint::run_lock> lock;
  company.led([&] {
    lock.emplace(facts.run);
    checkpoint::clean_checkpoints(facts.run);
    require_rehearsal<R>(r, c, facts.run);
  });
  std::printf("run         %s\n", facts.run.c_str());
  std::fflush(stdout);

  constexpr bool keeps_base = trainable::keeps_a_base<decltype(r.trainable)>;
  first_weights const first(r.model, c.init, facts.run, keeps_base);
  facts.base = first.base();
  auto const form = chat_form_of(r, c.init, facts.run, first.tokenizer());
  auto const text =
      company.in_turn([&] { return prepare_text(r, c.data, facts.run, threads, first.tokenizer(), form); });
  auto const order = order_of(r, text);
  company.compare("text (SHA-256)", fingerprint(order)), company.compare("tokenizer (SHA-256)", text.tokens().fingerprint());
  print_text(r, c, text, order);
  if (text.tokens().size() < r.model.vocab)
    std::printf("note        the tokenizer has %lld entries, the model's vocabulary %d: the other rows are padding\n",
                static_cast<long long>(text.tokens().size()), int(r.model.vocab));
  if (form)
    if (auto const note = ending_note(text.sources.front(), template_directory(r, c.init, facts.run)); !note.empty())
      std::printf("note        %s\n", note.c_str());
  auto const total = resolve_total(r, order);
  require_legal(r, known_from(order));

  auto trainer = company.make_trainer(r, threads, total);
  facts.step_flops =  // of the ranks in one place, whose peak they are compared with
      plan_or_nothing<R>(threads).step_flops * parallel::replicas_of(R.parallel).ranks / places;
  bool const earlier = company.leads() && std::filesystem::exists(facts.run / "recipe.json");
  if constexpr (keeps_base) first.load(trainer);  // what the checkpoint does not hold
  bool resumed = false;
  company.led([&] {
    resumed = resume(trainer, order, c, facts);
    if (!resumed) {
      if (earlier)
        std::printf("note        an earlier start of this run left no checkpoint; it begins again at step 1\n");
      if constexpr (!keeps_base) first.load(trainer);
      write_text(facts.run / "recipe.json", to_json(r).dump(2) + "\n");
      save_tokenizer(text.tokens(), facts.run / "tokenizer.json");
      first.keep_files(facts.run, text.tokens());
      if (form) keep_chat_files(template_directory(r, c.init, facts.run), facts.run);
    } else if (facts.base && !c.init.empty()) {
      first.keep_files(facts.run, text.tokens());  // where the base is now
    }
  });
  resumed = company.share(trainer, resumed);
  print_start<R>(trainer, facts);
  if (company.any(interrupted())) return exit_code::interrupted;
  if (trainer.progress().step >= total.count) {
    std::printf("this run is complete; to go on, lengthen it, such as --change horizon=%lld_steps\n",
                static_cast<long long>(2 * total.count));
    return exit_code::done;
  }

  std::optional<outputs> out;
  if (company.leads()) {
    out.emplace(facts.run, r, resumed || earlier ? trainer.progress().step + 1 : 0);
    out->describe({trainer.progress().step, "run/recipe", "```\n" + recipe_text(r, total) + "```"});
    auto const d = digests(r);
    out->describe({trainer.progress().step, "run/digests",
                   "identity " + d.identity + "  layout " + d.layout + "  numbers " + d.numbers});
  }
  session<train::trainer<R>, std::remove_const_t<decltype(order)>> host(facts, text, order, out ? &*out : nullptr);
  auto batches = company.batches(order, trainer.progress().cursor, r.batch.global.count);
  auto const end = train::loop(trainer, batches, host);
  if (company.leads()) std::fputs(company.exchange_text(trainer).c_str(), stdout);
  if (company.leads() && end == train::outcome::finished) {
    auto const busy = busy_with(trainer);
    print_end(trainer, host, *out, text, facts, c, form);
  }
  company.part();
  if (end == train::outcome::finished) return exit_code::done;
  if (out) out->finish(false);
  return print_interrupted(trainer, host);
}

/// The same with all ranks: what one refuses, all do.
template <auto const& R>
exit_code train(std::remove_cvref_t<decltype(R)> r, command_line const& c) {
  catch_interrupts();
  company<R> ranks(r);
  return ranks.together([&] { return train_in<R>(ranks, r, c); });
}

}  // namespace app

/// For a recipe that breaks a rule: its sentence, and nothing of the program is instantiated.
template <auto const& R>
requires(!is_legal(R)) int run(int, char const* const*, checked<R> = {}) {
  return static_cast<int>(app::exit_code::refused);
}

/// The program of a recipe: `int main(int argc, char** argv) { return tenon::run<pro>(argc, argv); }`. Reads the
/// command line (--help lists it), checks it with the rules that the compiler used, and plans, trains or resumes.
/// Returns an app::exit_code; every failure is one sentence on standard error.
template <auto const& R>
requires(is_legal(R)) int run(int argc, char const* const* argv) {
  using app::exit_code;
  std::remove_cvref_t<decltype(R)> r = R;
  auto const fail = [](std::exception const& e, exit_code code) {
    std::fflush(stdout);
    std::string sentence = e.what();  // LibTorch appends where it threw
    if (auto const cut = sentence.find("\nException raised"); cut != std::string::npos) sentence.erase(cut);
    std::fprintf(stderr, "\nerror: %s\n", sentence.c_str());
    return static_cast<int>(code);
  };
  command_line c;
  try {
    if (auto const file = app::recipe_file(argc, argv); !file.empty()) app::read_recipe(file, r);
    c = parse(argc, argv, r);
    if (!c.help && !c.plan) {
      app::require_paths(r, c.data);
      if (int const code = app::company<R>::start(r, argc, argv); code >= 0) return code;
    }
  } catch (std::exception const& e) {
    return fail(e, exit_code::refused);
  }
  if (c.help) {
    std::string const text = usage(r, argc > 0 ? argv[0] : "trainer");
    return std::printf("%s\n%s\n", text.c_str(), compiled_digests<R>.text()), 0;
  }
  try {
    if (c.plan) return static_cast<int>(app::print_plan<R>(r, c, c.threads > 0 ? c.threads : app::default_threads()));
    return static_cast<int>(app::train<R>(r, c));
  } catch (refused const& e) {
    return fail(e, exit_code::refused);
  } catch (data::interrupted const&) {
    std::fprintf(stderr, "\nstopped before the first step; nothing was lost\n");
    return static_cast<int>(exit_code::interrupted);
  } catch (std::exception const& e) {
    if constexpr (parallel::has_ranks<decltype(R.parallel)>) app::company<R>::leave_ranks(fail);
    return fail(e, exit_code::failed);
  }
}

}  // namespace tenon
