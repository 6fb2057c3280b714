#pragma once
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tenon/checkpoint/manifest.hpp"
#include "tenon/checkpoint/retention.hpp"
#include "tenon/checkpoint/safetensors.hpp"
#include "tenon/checkpoint/transaction.hpp"
#include "tenon/checkpoint/weight_files.hpp"
#include "tenon/nn/dtype.hpp"
#include "tenon/train/component.hpp"

/// Between the typed training state and the files of a checkpoint. Both directions run the components' own `visit`.
namespace tenon::train {

inline char const* name_of(file f) {
  switch (f) {
    case file::model:
      return "model.safetensors";
    case file::optimizer:
      return "optimizer.safetensors";
    case file::state:
      return "state.safetensors";
  }
  return "";
}

/// The dtype that a tensor of state has in its file.
template <class T>
inline constexpr checkpoint::dtype stored_type = std::is_same_v<T, nn::bf16> ? checkpoint::dtype::BF16 : checkpoint::dtype::F32;

namespace detail {

/// Lists what the components hold, without copying tensors; single numbers become rank-0 tensors.
struct collector {
  std::map<file, std::vector<checkpoint::tensor_view>> files;
  std::deque<std::int64_t> integers;
  std::deque<double> reals;

  template <class T>
  void tensor(file f, std::string const& name, std::vector<std::int64_t> const& shape, T* data) {
    files[f].push_back({name, stored_type<T>, shape, data});
  }
  void number(std::string const& name, std::int64_t& value) {
    files[file::state].push_back({name, checkpoint::dtype::I64, {}, &integers.emplace_back(value)});
  }
  void number(std::string const& name, double& value) {
    files[file::state].push_back({name, checkpoint::dtype::F64, {}, &reals.emplace_back(value)});
  }
};

/// Copies a checkpoint's tensors into the components, and notices what is missing, of another shape, or left over.
class restorer {
 public:
  explicit restorer(checkpoint::path const& directory) : directory_(directory) {
    for (auto const f : {file::model, file::optimizer, file::state})
      files_.emplace(f, checkpoint::safetensors_file(directory / name_of(f)));
  }
  template <class T>
  void tensor(file f, std::string const& name, std::vector<std::int64_t> const& shape, T* data) {
    copy(f, name, stored_type<T>, shape, data);
  }
  void number(std::string const& name, std::int64_t& value) {
    copy(file::state, name, checkpoint::dtype::I64, {}, &value);
  }
  void number(std::string const& name, double& value) { copy(file::state, name, checkpoint::dtype::F64, {}, &value); }

  /// Throws if a file holds a tensor that no component asked for: state that this program would silently drop.
  void finish() const {
    for (auto const& [f, content] : files_)
      for (auto const& [name, unused] : content.tensors())
        if (taken_.count({f, name}) == 0)
          throw error("'" + (directory_ / name_of(f)).string() + "' holds '" + name +
                      "', which this program has no place for; it was written by another recipe or version. Resume "
                      "with that one, or write a tenon::migration");
  }

 private:
  void copy(file f, std::string const& name, checkpoint::dtype type, std::vector<std::int64_t> const& shape, void* to) {
    auto const& found = files_.at(f).at(name);
    if (found.type != type || found.shape != shape)
      throw error(
          "tensor '" + name + "' in '" + (directory_ / name_of(f)).string() +
          "' has another dtype or shape than this recipe's; it was written by another recipe. Resume with that one, or "
          "write a tenon::migration");
    std::memcpy(to, found.bytes.data(), found.bytes.size());
    taken_.emplace(f, name);
  }
  checkpoint::path directory_;
  std::map<file, checkpoint::safetensors_file> files_;
  std::set<std::pair<file, std::string>> taken_;
};

}  // namespace detail

/// Shows every tensor and number of a trainer's state to `v`, in the order of its components.
template <class Trainer, class V>
void visit_state(Trainer& t, V& v) {
  auto components = t.components();
  std::apply([&](auto&... c) { (std::remove_cvref_t<decltype(c)>::visit(c, v), ...); }, components);
}

/// Adds the trainer's whole state to a checkpoint that is being written. `next(name)` is told each file before it is written.
template <class Transaction, class Trainer, class Next>
void save_state(Transaction& to, Trainer& t, Next&& next) {
  detail::collector list;
  visit_state(t, list);
  for (auto& [f, tensors] : list.files) {
    next(name_of(f));
    to.add_tensors(name_of(f), std::move(tensors));
  }
}
template <class Transaction, class Trainer>
void save_state(Transaction& to, Trainer& t) {
  save_state(to, t, [](std::string_view) {});
}

/// Puts a verified checkpoint's state into the trainer. Throws tenon::error, naming file and tensor, when it does not
/// fit.
template <class Trainer>
void load_state(checkpoint::path const& directory, Trainer& t) {
  detail::restorer from(directory);
  visit_state(t, from);
  from.finish();
  t.engine().refresh_copy();
  if constexpr (requires { t.engine().set_step(std::int64_t{}); }) t.engine().set_step(t.progress().step);
}

/// The first weights of a new run, from DIR/model.safetensors or the shards that its index names: a checkpoint's, or
/// those of a model that transformers saved; fp32, bf16, fp16 or block-scaled fp8 (`from` has read the headers). Throws
/// tenon::error naming what is missing, left over or of another shape.
template <class Trainer>
void load_weights(checkpoint::weight_files& from, Trainer& t) {
  struct reader {
    checkpoint::weight_files* from;
    void tensor(train::file, std::string const& name, std::vector<std::int64_t> const& shape, float* to) {
      if (!from->starts_anew(name)) from->read(name, shape, to);
    }
    void number(std::string const&, std::int64_t&) {}
    void number(std::string const&, double&) {}
  } read{&from};
  auto components = t.components();
  parameter_component::visit(std::get<parameter_component>(components), read);
  from.finish();
  t.engine().refresh_copy();
}

/// The same for a trainer that trains a part of the model: frozen weights, and those trained ones that the files hold;
/// adapters keep their initial values.
template <class Trainer>
void load_base(checkpoint::weight_files& from, Trainer& t) {
  std::vector<float> values;
  auto const& engine = t.engine();
  for (auto const& p : engine.frozen_places()) {
    values.resize(std::size_t(p.size()));
    from.read(p.name, p.shape(), values.data());
    engine.set_frozen(p, values.data());
  }
  for (auto const& p : engine.places())
    if (p.parameter_role != nn::role::adapter) from.read(p.name, p.shape(), engine.master() + p.offset);
  from.finish();
  t.engine().refresh_copy();
}

}  // namespace tenon::train
