// P1, P2: master weights, gradients and moments are fp32 in every precision, and nothing inherits a dtype from the copy that
// the layers read: the plan that a precision states is that of the buffers, each of which is looked at here.
#include "tenon/exec/dtypes.hpp"

#include <map>
#include <string>

#include "support/test.hpp"
#include "tenon/exec/plan.hpp"
#include "tenon/models/of_recipe.hpp"
#include "tenon/optim/moments.hpp"
#include "tenon/recipe.hpp"

namespace {

namespace tn = tenon;
using namespace tenon::literals;

template <class Precision>
constexpr auto of(Precision p) {
  return tn::recipe(
      tn::model::deepseek_llm{.vocab = 272, .hidden = 32, .layers = 3, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 16},
      tn::target::cpu{}, p);
}
constexpr auto fp32 = of(tn::precision::fp32{});
constexpr auto bf16 = of(tn::precision::bf16{.emulated = true});
constexpr auto fp16 = of(tn::precision::fp16{.emulated = true});
constexpr auto named = bf16.replace(tn::optimizer::adamw{.moment = tn::dtype::bf16});

/// A leaf of the memory that was really mapped: where it begins, and the bytes of its elements.
struct place {
  std::byte const* at;
  std::int64_t bytes;
  std::size_t element;
};

/// Every leaf of an aggregate, by name, with the type that its pointer has.
template <class Aggregate>
std::map<std::string, place> leaves(Aggregate& a, std::int64_t rows) {
  std::map<std::string, place> all;
  int index = 0;
  tn::nn::for_each_leaf(a, [&](auto& leaf) {
    using type = std::remove_cvref_t<decltype(leaf)>;
    using value = std::remove_pointer_t<decltype(leaf.data)>;
    std::string const kind = std::is_same_v<value, double>          ? "loss"
                             : std::is_same_v<value, float>         ? "fp32"
                             : std::is_same_v<value, tn::nn::bf16>  ? "bf16"
                             : std::is_same_v<value, tn::nn::fp16>  ? "fp16"
                                                                    : "other";
    all[kind + "." + std::to_string(index++)] = {reinterpret_cast<std::byte const*>(leaf.data), type::bytes(rows, 1), sizeof(value)};
  });
  return all;
}

template <auto const& R>
void buffers_are_as_stated() {
  using model = tn::models::of_recipe<R>;
  using compute = tn::models::compute_of<R>;
  using precision = tn::resolved_precision_t<decltype(R)>;
  constexpr auto plan = precision::plan;
  static_assert(sizeof(tn::exec::dtypes_as_planned<model, compute, precision>) > 0);
  std::string const narrow(tn::name_of(plan.compute));
  constexpr std::int64_t rows = 32;

  // Activations: the formats that occur are compute and fp32, and the loss is added up in fp64; the leaves lie one behind
  // the other, each as long as its stated element says, up to the padding.
  tn::exec::activations<model, compute> memory(rows, 1, 16, 1e4);
  auto found = leaves(memory.saved, rows);
  std::map<std::string, int> formats;
  std::int64_t bytes = 0;
  for (auto const& [name, p] : found) {
    formats[name.substr(0, name.find('.'))] += p.bytes > 0;
    bytes += tn::nn::align_up(p.bytes);
    if (p.at != nullptr) EXPECT(std::size_t(p.at - reinterpret_cast<std::byte const*>(memory.saved.body.stream[0].data) + (1 << 20)) % p.element == 0);
  }
  EXPECT_EQ(bytes, tn::nn::activation_bytes<typename model::template saved<compute>>(rows, 1));
  EXPECT_EQ(formats["loss"], 1);
  EXPECT_EQ(formats["other"], 0);
  EXPECT(formats["fp32"] > 5);
  EXPECT_EQ(formats.count("bf16"), std::size_t(narrow == "bf16"));
  EXPECT_EQ(formats.count("fp16"), std::size_t(narrow == "fp16"));
  if (narrow != "fp32") EXPECT(formats[narrow] > 20);
  // What a value's format costs shows in the values: the stream and the logits keep a number that the compute dtype rounds.
  float const fine = 1 + 0x1p-20f;
  *memory.saved.body.stream[0].data = fine, *memory.saved.head.logits.data = fine;
  EXPECT_EQ(*memory.saved.body.stream[0].data, fine);
  EXPECT_EQ(*memory.saved.head.logits.data, fine);
  *memory.saved.head.normed.data = tn::nn::narrow<compute>(fine);
  EXPECT_EQ(float(tn::nn::widen(*memory.saved.head.normed.data)) == fine, plan.compute == tn::dtype::fp32);

  // Parameters: the copy is the master rounded, in its own buffer, and only where the formats differ.
  tn::exec::parameter_store<model, compute> store;
  store.initialise(1, 0.02);
  bool rounded = false;
  for (std::int64_t i = 0; i < store.size; ++i) {
    float const kept = tn::nn::widen(store.compute()[i]);
    EXPECT_EQ(kept, float(tn::nn::widen(tn::nn::narrow<compute>(store.master()[i]))));
    rounded = rounded || kept != store.master()[i];
  }
  EXPECT_EQ(rounded, plan.parameter != tn::dtype::fp32);
  EXPECT_EQ(static_cast<void const*>(store.compute()) == store.master(), plan.parameter == plan.master);
  tn::optim::moments<2> const moments(store.size);
  EXPECT_EQ(moments[0].bytes(), store.size * tn::size_of(plan.moment));
  EXPECT(plan.master == tn::dtype::fp32);
  EXPECT(plan.moment == tn::dtype::fp32);
  EXPECT(plan.gradient == tn::dtype::fp32);
}

}  // namespace

TEST("P1, P2, P3: each real buffer has the dtype that the precision states") {
  SUBCASE("fp32") { buffers_are_as_stated<fp32>(); }
  SUBCASE("bf16") { buffers_are_as_stated<bf16>(); }
  SUBCASE("fp16") { buffers_are_as_stated<fp16>(); }
}

TEST("P2: moments in bf16 are there where the optimizer names them, and nowhere else") {
  using model = tn::models::of_recipe<named>;
  static_assert(tn::dtypes_of(named).moment == tn::dtype::bf16 && tn::dtypes_of(bf16).moment == tn::dtype::fp32);
  static_assert(sizeof(tn::exec::dtypes_as_planned<model, tn::nn::bf16, tn::precision::bf16, tn::dtype::bf16, tn::nn::bf16>) > 0);
  static_assert(tn::exec::real_dtypes<model, tn::nn::bf16, tn::nn::bf16>() == tn::dtypes_of(named));
  tn::optim::moments<2, tn::nn::bf16> const moments(1000);
  EXPECT_EQ(moments[1].bytes(), 1000 * tn::size_of(tn::dtypes_of(named).moment));
  constexpr tn::plan_numbers numbers{.micro = 2, .sequence = 16, .global = 2};
  constexpr auto narrow = tn::make_plan<named>(numbers), wide = tn::make_plan<bf16>(numbers);
  static_assert(narrow.moment_bytes * 2 == wide.moment_bytes && narrow.master_bytes == wide.master_bytes);
  EXPECT_EQ(narrow.moment_bytes, 2 * 2 * tn::exec::flat_layout<model>::total);
}

TEST("a plan that states another dtype than a buffer has is noticed") {
  using model = tn::models::of_recipe<bf16>;
  constexpr auto real = tn::exec::real_dtypes<model, tn::nn::bf16>();
  static_assert(real == tn::precision::bf16::plan);
  static_assert(!(real == tn::precision::fp32::plan) && !(real == tn::precision::fp16::plan));
  auto other = real;
  other.moment = tn::dtype::bf16;
  EXPECT(!(real == other));
}
