// First, so that this unit shows that the plan needs nothing before it.
#include "tenon/exec/plan.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "support/test.hpp"

using namespace tenon;
using namespace tenon::literals;

namespace {

constexpr int V = 512, H = 64, L = 5, heads = 4, kv_heads = 2, I = 176, positions = 128, KV = H / heads * kv_heads;
constexpr std::int64_t samples = 4, sequence = 128, n = samples * sequence;

template <class Memory = memory::keep>
constexpr auto make(Memory m = {}, bool tied = false) {
  return recipe(model::deepseek_llm{.vocab = V, .hidden = H, .layers = L, .heads = heads, .kv_heads = kv_heads, .intermediate = I, .positions = positions, .tied = tied},
                target::cpu{.memory = 8_GiB}, precision::fp32{}, m, horizon{100_steps}, batch{.sequence = 128_tokens, .global = 16_samples, .micro = 4_samples});
}
constexpr auto keep = make();
constexpr auto tied = make(memory::keep{}, true);
constexpr auto each = make(memory::recompute{});
constexpr auto pairs_of_blocks = make(memory::recompute{.every = 2});
constexpr auto bf16 = keep.with(precision::bf16{.emulated = true});

// ---- By hand.
constexpr std::int64_t block_parameters = 2 * H * H + 2 * H * KV + 3 * H * I + 2 * H;
constexpr std::int64_t block_gemm = 2 * n * (2 * H * H + 2 * H * KV + 3 * H * I);          // forward
constexpr std::int64_t head_gemm = 2 * n * std::int64_t{V} * H;                             // forward
constexpr std::int64_t scores = samples * sequence * (sequence + 1) / 2;                    // rows times the keys they see
constexpr std::int64_t block_attention = 2 * 2 * scores * H;                                // Q K^T and P V
constexpr std::int64_t forward = L * (block_gemm + block_attention) + head_gemm;
constexpr std::int64_t backward = L * (2 * block_gemm + 5 * 2 * scores * H) + 2 * head_gemm;
/// Floats that one block keeps: two inverse norms, 7 rows of width H (q, mixed, middle, and of both branches input and
/// output gradient), log-sum-exp, k and v, gate, up and their product; and the norms' partial sums.
constexpr std::int64_t tiles = n / 16;
constexpr std::int64_t block_saved = n * (2 + 7 * H + heads + 2 * KV + 3 * I) + 2 * tiles * H;
constexpr std::int64_t head_saved() {
  std::int64_t const chunk = 1024;  // rows; 64 MiB would hold more
  return n * (2 * H + 1) + tiles * H + chunk * V + 2 * tiles;  // the loss is fp64
}
constexpr std::int64_t scratch = n * (3 * H + I);
constexpr std::int64_t fixed = 2 * positions * (H / heads / 2);  // rotary tables
constexpr std::int64_t room = std::max<std::int64_t>(exec::linear_workspace(I, H), exec::attention_workspace(sequence, H / heads));
constexpr std::int64_t packed = std::max(V, int(n)) * std::int64_t{512};  // the left operand of the largest product
constexpr std::int64_t activation_bytes(int slots, int inputs, int members) {
  return 4 * (slots * block_saved + inputs * n * H + head_saved() + scratch + fixed + packed + members * room);
}

static_assert(plan<keep>.parameters == L * block_parameters + 2 * V * H + H);
static_assert(plan<tied>.parameters == L * block_parameters + V * H + H);
static_assert(plan<keep>.micro_batches == 4 && plan<keep>.tokens_per_step == 16 * 128);
static_assert(plan<keep>.step_flops == 4 * (forward + backward));
static_assert(plan<tied>.step_flops == plan<keep>.step_flops);
static_assert(plan<bf16>.step_flops == plan<keep>.step_flops);
static_assert(plan<keep>.forward_flops_per_token == forward / n);
// Every block runs forward once more, whatever the length of a segment.
static_assert(plan<each>.step_flops == plan<keep>.step_flops + 4 * L * (block_gemm + block_attention));
static_assert(plan<pairs_of_blocks>.step_flops == plan<each>.step_flops);

static_assert(plan<keep>.activation_bytes == activation_bytes(L, L, 1));
static_assert(make_plan<keep>(2).activation_bytes == activation_bytes(L, L, 2));
static_assert(plan<each>.activation_bytes == activation_bytes(1, L, 1));                 // a stream before each block
static_assert(plan<pairs_of_blocks>.activation_bytes == activation_bytes(2, 3 + 1, 1));  // before each pair, and inside one
static_assert(plan<each>.activation_bytes < plan<pairs_of_blocks>.activation_bytes && plan<pairs_of_blocks>.activation_bytes < plan<keep>.activation_bytes);

static_assert(plan<keep>.master_bytes == 4 * plan<keep>.parameters);  // all sizes here are multiples of a cache line
static_assert(plan<keep>.gradient_bytes == plan<keep>.master_bytes && plan<keep>.moment_bytes == 2 * plan<keep>.master_bytes);
static_assert(plan<keep>.copy_bytes == 0 && plan<bf16>.copy_bytes == plan<bf16>.master_bytes / 2);
static_assert(plan<keep>.fits);

// The parts of the activations, each rounded up to a cache line; no size here needs that.
static_assert(plan<keep>.logits_bytes == 4 * 1024 * V && plan<bf16>.logits_bytes == 6 * 1024 * V);
static_assert(plan<keep>.scratch_bytes == 4 * scratch);
static_assert(plan<keep>.saved_bytes == 4 * (L * block_saved + L * n * H + head_saved() - 1024 * V));
static_assert(plan<keep>.saved_bytes + plan<keep>.logits_bytes + plan<keep>.scratch_bytes + plan<keep>.workspace_bytes == plan<keep>.activation_bytes);
static_assert(plan<keep>.backward_flops_per_token == (forward + backward) / n - forward / n);

// Another number of ranks: each has fewer micro-batches and hands its gradients round; memory is the same.
constexpr auto on_ranks(int ranks) {
  auto numbers = numbers_of(keep);
  numbers.ranks = ranks;
  return make_plan<keep>(numbers);
}
static_assert(on_ranks(4).micro_batches == 1 && on_ranks(4).step_flops * 4 == plan<keep>.step_flops);
static_assert(on_ranks(4).total() == plan<keep>.total() && on_ranks(4).tokens_per_step == plan<keep>.tokens_per_step);
static_assert(plan<keep>.reduced_bytes == 0 && on_ranks(2).reduced_bytes == plan<keep>.gradient_bytes && on_ranks(4).reduced_bytes * 2 == plan<keep>.gradient_bytes * 3);

// ---- Time: the longer of arithmetic and traffic of each operation. With slow memory, traffic alone is left, with fast
// memory arithmetic alone.
constexpr double within(double a, double b) { return a / b > 1 ? a / b - 1 : b / a - 1; }
constexpr exec::count::rates only_products{.products = 1e9, .attention = 2e9}, only_memory{.bandwidth = 1e9};
using keep_model = models::of_recipe<keep>;
constexpr auto by_products = exec::count::forward_backward<keep_model, float>(samples, sequence, only_products);
constexpr auto by_memory = exec::count::forward_backward<keep_model, float>(samples, sequence, only_memory);
constexpr auto by_both = exec::count::forward_backward<keep_model, float>(samples, sequence, {1e9, 2e9, 1e9});
static_assert(within(by_products.seconds, double(by_products.gemm_flops) / 1e9 + double(by_products.attention_flops) / 2e9) < 1e-12);
static_assert(within(by_memory.seconds, double(by_memory.traffic) / 1e9) < 1e-12);
static_assert(by_both.seconds > std::max(by_products.seconds, by_memory.seconds) && by_both.seconds < by_products.seconds + by_memory.seconds);
/// Bytes of the forward pass of one block in fp32, operation by operation: two copies of the stream, norm, q, k, v, both rotations, attention,
/// output, norm, gate, up, SwiGLU, down.
constexpr std::int64_t block_traffic = 4 * (2 * 2 * n * H + (2 * n * H) + 3 * n * H + H * (H + 2 * KV) + n * (H + 2 * KV) + 2 * n * (H + KV) + 2 * n * (H + KV) + (n * H + H * H + 2 * n * H) +
                                            (2 * n * H) + 2 * (n * H + I * H + n * I) + 3 * n * I + (n * I + H * I + 2 * n * H));
constexpr std::int64_t other_traffic = 4 * (2 * n * H + 2 * n * H + (n * H + V * H + n * V) + n * V);  // embedding, norm, logits, loss
static_assert(exec::count::evaluate<keep_model, float>(samples, sequence).traffic == L * block_traffic + other_traffic);

// The same plan for one micro-batch of four, on a machine of stated rates: passes, and one pass over the state.
constexpr target_facts machine{.memory = 8_GiB, .fp32 = 1, .bandwidth = 1, .link = 1};
constexpr auto timed = plan_of<keep_model, float, 2>({.micro = 4, .sequence = sequence, .global = 16, .ranks = 4}, machine, dtype::fp32);
constexpr auto pass = exec::count::forward_backward<keep_model, float>(samples, sequence, {1e9, 1e9, 1e9}).seconds;
static_assert(within(timed.seconds_per_step, pass + double(8 * plan<keep>.master_bytes + timed.reduced_bytes) / 1e9) < 1e-12);

static_assert(fits_into(90, 100) && !fits_into(91, 100));
static_assert(!make_plan<keep>([] { auto m = numbers_of(keep); m.micro = 1 << 12; return m; }()).fits);

}  // namespace

TEST("what is made at construction has the plan's sizes") {
  exec::parameter_store<models::of_recipe<keep>, float> store;
  EXPECT_EQ(store.size * 4, plan<keep>.master_bytes);
  for (int members : {1, 2, 3}) {
    exec::activations<models::of_recipe<keep>, float> a(n, members, sequence, 10000);
    EXPECT_EQ(a.bytes(), make_plan<keep>(members).activation_bytes);
    exec::activations<models::of_recipe<each>, float> b(n, members, sequence, 10000);
    EXPECT_EQ(b.bytes(), make_plan<each>(members).activation_bytes);
  }
  exec::activations<models::of_recipe<bf16>, nn::bf16> c(n, 1, sequence, 10000);
  EXPECT_EQ(c.bytes(), plan<bf16>.activation_bytes);
}

TEST("a plan made while running is the one made while compiling") {
  for (std::int64_t micro : {1, 2, 4, 8, 16}) {
    auto numbers = numbers_of(keep, 3);
    numbers.micro = micro;
    auto const p = make_plan<keep>(numbers);
    auto const a = exec::activations<models::of_recipe<keep>, float>(micro * sequence, 3, sequence, 10000);
    EXPECT_EQ(p.activation_bytes, a.bytes());
    EXPECT_EQ(p.micro_batches, 16 / micro);
    EXPECT_EQ(p.step_flops, plan<keep>.step_flops);
    if (micro == 4) EXPECT_EQ(p.total(), make_plan<keep>(3).total());
  }
}

namespace {

/// Every header that `start` includes, over all tenon headers; others by name.
std::set<std::string> includes_of(std::filesystem::path const& root, std::string const& start) {
  std::set<std::string> seen, open{start};
  std::regex const include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  while (!open.empty()) {
    std::string const header = *open.begin();
    open.erase(open.begin());
    if (!seen.insert(header).second || header.rfind("tenon/", 0) != 0) continue;
    std::ifstream in(root / "include" / header);
    DOCTEST_INFO(header);
    REQUIRE(bool(in));
    for (std::string line; std::getline(in, line);)
      if (std::smatch m; std::regex_search(line, m, include)) open.insert(m[1]);
  }
  return seen;
}

}  // namespace

TEST("a recipe is checked and planned without LibTorch") {
  char const* const root = std::getenv("TENON_SOURCE_DIR");
  if (root == nullptr) throw error("TENON_SOURCE_DIR must be the folder of this project; ./tenon test and ctest set it");
  auto const is_torch = [](std::string const& h) {
    for (char const* prefix : {"ATen/", "c10/", "torch/", "caffe2/", "tenon/exec/cpu/", "tenon/exec/torch"})
      if (h.rfind(prefix, 0) == 0) return true;
    return false;
  };
  for (char const* start : {"tenon/exec/plan.hpp", "tenon/exec/count/executor.hpp", "tenon/models/of_recipe.hpp", "tenon/recipe.hpp"}) {
    auto const all = includes_of(root, start);
    EXPECT(all.size() >= 5);
    for (auto const& h : all) {
      DOCTEST_INFO(start << " leads to " << h);
      EXPECT(!is_torch(h));
    }
  }
  EXPECT(is_torch(*includes_of(root, "tenon/exec/cpu/gemm.hpp").lower_bound("ATen/")));  // the search does find them
}
