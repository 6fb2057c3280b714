#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "tenon/core/philox.hpp"
#include "tenon/exec/buffer.hpp"
#include "tenon/nn/layout.hpp"
#include "tenon/nn/section.hpp"

namespace tenon::exec {

/// Where a model's groups lie in the flat buffers: embedding, blocks section by section, head, each padded. One device
/// holds everything, so acquiring a group is adding a constant.
template <class Model>
struct flat_layout {
  using sections = nn::sections_of<Model>;
  static constexpr std::int64_t embedding_size = nn::padded_parameters<typename Model::embedding_group>();
  static constexpr std::int64_t head_size = nn::padded_parameters<typename Model::head_group>();
  static constexpr std::int64_t block_size = nn::section_at<Model, 0>::block_size;  ///< of the first section
  static constexpr std::int64_t first_block = embedding_size, head = first_block + sections::elements;
  static constexpr std::int64_t total = head + head_size;  ///< elements
  static constexpr std::int64_t parameters = nn::num_parameters<typename Model::embedding_group>() +
                                             sections::parameters + nn::num_parameters<typename Model::head_group>();
  /// Where block `i` of section `Section` begins.
  template <int Section = 0>
  static constexpr std::int64_t block(int i) {
    return first_block + sections::offset(Section) + i * nn::section_at<Model, Section>::block_size;
  }
};

/// Every parameter of `Model` with its name on disk, in the order of the flat buffer.
template <class Model>
std::vector<nn::parameter_place> parameter_places() {
  std::vector<nn::parameter_place> all;
  auto const group = [&]<class Group>(std::type_identity<Group>, std::string const& prefix, std::int64_t offset) {
    nn::described_params<Group> d{};
    nn::for_each_named_leaf(d, prefix, [&](std::string const& name, auto const& p) {
      all.push_back({name, offset, p.num_rows, p.num_cols, p.rank, p.parameter_role, p.init, {}});
      offset += nn::align_up(p.size, nn::alignment / 4);
    });
  };
  using layout = flat_layout<Model>;
  group(std::type_identity<typename Model::embedding_group>{}, "", 0);
  nn::for_each_section<Model>([&](auto s) {
    using section = nn::section_at<Model, s()>;
    for (int i = 0; i < section::count; ++i)
      group(std::type_identity<typename section::block>{}, "model.layers." + std::to_string(section::first + i) + ".",
            layout::template block<s()>(i));
  });
  group(std::type_identity<typename Model::head_group>{}, "", layout::head);
  return all;
}

/// Values of one parameter before step 0, a function of (seed, its name, element) alone.
inline void initialise_place(nn::parameter_place const& p, float* w, std::uint64_t seed, double std_dev, int layers) {
  random_stream const random(seed, p.name);
  double const scale =
      p.init == nn::initializer::normal_by_depth ? std_dev / std::sqrt(2.0 * layers) : std_dev;
  double const width = 1 / std::sqrt(double(p.cols));
  for (std::int64_t i = 0; i < p.size(); ++i) {
    switch (p.init) {
      case nn::initializer::ones:
        w[i] = 1;
        break;
      case nn::initializer::zeros:
        w[i] = 0;
        break;
      case nn::initializer::uniform_by_width:
        w[i] = float((2 * random.uniform(std::uint64_t(i)) - 1) * width);
        break;
      default:
        w[i] = float(scale * random.normal(std::uint64_t(i)));
    }
  }
}

/// Lends the parameters in flat buffers of flat_layout<Model>, wherever these lie.
template <class Model, class Compute>
class lender {
 public:
  using layout = flat_layout<Model>;
  using W = nn::weights<Compute>;
  lender() = default;
  lender(float* master, float* gradient, Compute* compute) : master_(master), gradient_(gradient), compute_(compute) {}

  float* master() const { return master_; }
  float* gradient() const { return gradient_; }
  Compute* compute() const { return compute_; }

  [[gnu::always_inline]] auto embedding() const { return lend<typename Model::embedding_group::template params<W>>(0); }
  template <int Section = 0>
  [[gnu::always_inline]] auto block(int i) const {
    return lend<typename nn::section_at<Model, Section>::block::template params<W>>(layout::template block<Section>(i));
  }
  [[gnu::always_inline]] auto head() const {
    return lend<typename Model::head_group::template params<W>>(layout::head);
  }

  [[gnu::always_inline]] auto embedding_sink(bool first) const {
    return sink<typename Model::embedding_group::template params<nn::gradients>>(0, first);
  }
  template <int Section = 0>
  [[gnu::always_inline]] auto block_sink(int i, bool first) const {
    return sink<typename nn::section_at<Model, Section>::block::template params<nn::gradients>>(
        layout::template block<Section>(i), first);
  }
  [[gnu::always_inline]] auto head_sink(bool first) const {
    return sink<typename Model::head_group::template params<nn::gradients>>(layout::head, first);
  }

 private:
  template <class Params>
  [[gnu::always_inline]] Params lend(std::int64_t offset) const {
    Params p{};
    nn::bind_parameters(p, static_cast<Compute const*>(compute_) + offset, master_ + offset);
    return p;
  }
  template <class Params>
  [[gnu::always_inline]] Params sink(std::int64_t offset, bool first) const {
    Params p{};
    nn::bind_parameters(p, gradient_ + offset);
    nn::for_each_leaf(p, [&](auto& leaf) { leaf.beta = first ? 0.f : 1.f; });
    return p;
  }

  float *master_ = nullptr, *gradient_ = nullptr;
  Compute* compute_ = nullptr;
};

/// Master weights and gradients in fp32, and the weights in the compute dtype (for fp32 the master itself), each one
/// flat buffer. Padding stays zero for good: gradient, moments and weights of padding never change.
template <class Model, class Compute>
class parameter_store : public lender<Model, Compute> {
 public:
  static constexpr bool has_copy = !std::is_same_v<Compute, float>;
  static constexpr std::int64_t size = flat_layout<Model>::total;
  using lender<Model, Compute>::master;
  using lender<Model, Compute>::compute;

  parameter_store()
      : master_(size * 4), gradient_(size * 4), copy_(has_copy ? size * std::int64_t(sizeof(Compute)) : 0) {
    auto const& values = has_copy ? copy_ : master_;
    static_cast<lender<Model, Compute>&>(*this) = {master_.as<float>(), gradient_.as<float>(),
                                                   values.template as<Compute>()};
  }

  /// Rounds the master into the compute copy; needed after loading and after initialising, not in the step.
  void refresh_copy() const {
    if constexpr (has_copy)
      for (std::int64_t i = 0; i < size; ++i) compute()[i] = nn::narrow<Compute>(master()[i]);
  }

  /// Values before step 0, a function of (seed, name of the parameter, element) alone.
  void initialise(std::uint64_t seed, double std_dev) const {
    for (auto const& p : parameter_places<Model>()) initialise_place(p, master() + p.offset, seed, std_dev, Model::layers);
    refresh_copy();
  }

 private:
  buffer master_, gradient_, copy_;
};

}  // namespace tenon::exec
