#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tenon/app/corpus.hpp"
#include "tenon/deploy/chat_format.hpp"
#include "tenon/deploy/model_source.hpp"
#include "tenon/deploy/side_files.hpp"

/// Where a run on conversations takes its chat template from.
namespace tenon::app {

/// The directory whose chat template a run writes its conversations in: that of --init; else the run's own, which keeps
/// the files that it began with; else that of the tokenizer which the recipe names.
template <class Recipe>
std::filesystem::path template_directory(Recipe const& r, std::string const& init, std::filesystem::path const& run) {
  if (!init.empty()) return init;
  std::string const tokenizer(r.data.tokenizer.get());
  std::error_code unknown;
  bool const kept = std::filesystem::exists(run, unknown) && deploy::has_chat_format(run);
  return kept || tokenizer.empty() ? run : std::filesystem::path(tokenizer).parent_path();
}

/// That directory, where it has no template and the run needs one; else empty.
template <class Recipe>
std::string directory_without_template(Recipe const& r, std::string const& init, std::filesystem::path const& run) {
  if constexpr (on_conversations<Recipe>) {
    auto const directory = template_directory(r, init, run);
    std::error_code unknown;
    if (!std::filesystem::exists(directory, unknown) || !deploy::has_chat_format(directory)) return directory.string();
  }
  return {};
}

/// The form of a run's conversations; null where it reads texts. `given`: the tokenizer that came with the weights.
template <class Recipe>
chat_form chat_form_of(Recipe const& r, std::string const& init, std::filesystem::path const& run,
                       given_tokenizer const& given) {
  if constexpr (on_conversations<Recipe>) {
    auto end = given.end_of_text;
    if (std::string const named(r.data.tokenizer.get()); !named.empty() || end.empty()) {
      auto const file = named.empty() ? given.file : named;
      if (file.empty())
        throw error(
            "objective::sft needs the tokenizer that its chat template was written for; begin with a model that "
            "has one (--init DIR), or name it with --data.tokenizer");
      end = data::load_tokenizer(file, named.empty() ? given.end_of_text : "").definition().end_of_text;
    }
    return std::make_shared<data::chat::format const>(deploy::load_chat_format(template_directory(r, init, run), end));
  } else {
    return {};
  }
}

/// A sentence where answers end in a token at which `generate` will not stop; empty where all is well.
inline std::string ending_note(data::prepared const& text, std::filesystem::path const& directory) {
  std::vector<std::int32_t> ids(std::size_t(text.corpus.length(0)));
  text.corpus.copy(0, 0, text.corpus.length(0), ids.data());
  auto const last = std::find_if(ids.rbegin(), ids.rend(), data::is_learnt);
  if (last == ids.rend()) return {};
  auto const ends = deploy::end_ids(directory, text.tokens);
  if (std::find(ends.begin(), ends.end(), *last) != ends.end()) return {};
  return "answers end in '" + text.tokens.decode({&*last, 1}) +
         "', and generation_config.json names no such end: a generated answer would go on behind it. Add its id to "
         "eos_token_id there, or let the template end an answer with the tokenizer's end of text";
}

/// Keeps the template in the run, for `generate --chat` and for export.
inline void keep_chat_files(std::filesystem::path const& from, std::filesystem::path const& run) {
  std::error_code same;
  if (!std::filesystem::equivalent(from, run, same)) deploy::copy_side_files(from, run);
}

}  // namespace tenon::app
