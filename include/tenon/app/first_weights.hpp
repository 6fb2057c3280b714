#pragma once
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "tenon/app/corpus.hpp"
#include "tenon/app/run_directory.hpp"
#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/deploy/base_model.hpp"
#include "tenon/deploy/model_config.hpp"
#include "tenon/deploy/side_files.hpp"
#include "tenon/train/checkpointing.hpp"

namespace tenon::app {

/// Where a new run's weights come from: `--init DIR`, or the initialiser. Made before anything is computed, so that a
/// model that does not fit is refused by the name of the field, before a byte of its weights is read.
class first_weights {
 public:
  /// `init` is empty where there is no --init; a run that exists then keeps the tokenizer that it was begun with.
  /// `keeps_base`: weights of that directory stay as they are and are read at each start.
  template <class Model>
  first_weights(Model const& model, std::string const& init, std::filesystem::path const& run, bool keeps_base = false) {
    if (!init.empty()) {
      directory_ = init;
      if constexpr (deploy::has_family<Model>) {
        if (auto const found = deploy::require_same_model(directory_, model)) facts_ = found->weights;
      }
      if (std::filesystem::exists(directory_ / "tokenizer.json"))
        tokenizer_ = {(directory_ / "tokenizer.json").string(), deploy::end_of_text(directory_)};
      else if (std::filesystem::exists(directory_ / "config.json"))
        std::printf(
            "note        '%s' has no tokenizer.json: another one is used, and to the imported weights its ids mean "
            "other text\n",
            init.c_str());
    } else if (auto const origin = deploy::read_origin(run)) {
      if (checkpoint::list_checkpoints(run).empty())
        throw error("'" + run.string() + "' was begun with the weights of '" + origin->directory +
                    "' and has no checkpoint yet; give --init " + origin->directory +
                    " again, or another --run directory");
      tokenizer_ = {(run / "tokenizer.json").string(), origin->end_of_text};
      if (keeps_base) {
        directory_ = origin->directory;
        deploy::require_there(directory_);
        if constexpr (deploy::has_family<Model>) {
          if (auto const found = deploy::require_same_model(directory_, model)) facts_ = found->weights;
        }
      }
    }
    if (!keeps_base || directory_.empty()) return;
    if (!std::filesystem::exists(directory_ / "config.json"))
      throw error("this run leaves weights as they are in '" + directory_.string() +
                  "', and that is no model directory (it has no config.json): a checkpoint of a run may be removed. Export "
                  "it first (./tenon export RUN --out DIR) and begin with that");
    base_ = deploy::base_model{std::filesystem::absolute(directory_).string(), deploy::weights_digest(directory_)};
  }

  /// The model whose weights stay as they are, of a run that keeps one.
  std::optional<deploy::base_model> const& base() const { return base_; }

  /// The tokenizer that belongs to the weights; empty where none does.
  given_tokenizer const& tokenizer() const { return tokenizer_; }

  /// Puts the weights into the trainer, where there are any.
  template <class Trainer>
  void load(Trainer& trainer) const {
    if (directory_.empty()) return;
    checkpoint::weight_files from(directory_);
    facts_.tell(from);
    if constexpr (requires { trainer.engine().frozen_places(); })
      train::load_base(from, trainer);
    else
      train::load_weights(from, trainer);
    std::int64_t anew = 0;
    for (auto const& p : trainer.engine().places()) anew += from.starts_anew(p.name);
    if (anew > 0)
      std::printf("note        '%s' has no modules of multi-token prediction: %lld tensors begin as the recipe says\n",
                  directory_.c_str(), static_cast<long long>(anew));
    if (auto const n = from.num_left_out(); n > 0)
      std::printf(
          "note        %lld tensors of '%s' belong to layers behind the decoder's own (multi-token prediction) and are "
          "left out\n",
          static_cast<long long>(n), directory_.c_str());
  }

  /// Keeps in the run what belongs to an imported model and is needed to go on and to export it.
  void keep_files(std::filesystem::path const& run, data::tokenizer const& tokens) const {
    if (tokenizer_.file.empty()) return;
    deploy::copy_side_files(directory_, run);
    auto const generation = run / "generation_config.json";
    auto const ids = deploy::special_ids(directory_);
    if (!std::filesystem::exists(generation) && !ids.empty()) write_text(generation, ids.dump(2) + "\n");
    write_text(run / deploy::origin_file,
               deploy::origin_text({std::filesystem::absolute(directory_).string(), tokens.definition().end_of_text}));
  }

 private:
  std::filesystem::path directory_;
  deploy::weight_facts facts_;
  given_tokenizer tokenizer_;
  std::optional<deploy::base_model> base_;
};

}  // namespace tenon::app
