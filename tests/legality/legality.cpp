// The product of all policies, judged by the rules; and the pages that are printed from it.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "legality/covering.hpp"
#include "legality/pages.hpp"
#include "support/test.hpp"

namespace {

namespace tn = tenon;
using legality::matrix;

matrix const& all() {
  static matrix const m = legality::make_matrix();
  return m;
}
std::int64_t refused(std::string_view id) {
  for (std::size_t r = 0; r < all().rules.size(); ++r)
    if (all().rules[r].id == id) return all().refused[r];
  return -1;
}
std::int64_t num_choices(std::string_view axis) {
  for (auto const& a : all().axes)
    if (a.name == axis) return static_cast<std::int64_t>(a.choices.size());
  return -1;
}

TEST("the full product of all policies has the pinned counts") {
  auto const begin = std::chrono::steady_clock::now();
  auto const& m = all();
  std::chrono::duration<double> const seconds = std::chrono::steady_clock::now() - begin;
  std::printf("legality: %s combinations, %s legal, %s illegal, judged in %.3f s\n",
              legality::grouped(m.combinations).c_str(), legality::grouped(m.legal).c_str(),
              legality::grouped(m.combinations - m.legal).c_str(), seconds.count());
  // Worked out by hand. Targets: 10, of which native (as a machine without 16-bit formats) and cpu emulate bf16 and
  // fp16 and v100 emulates bf16; so of 10 x 7 pairs with a precision 5 are refused. These three have no TF32.
  EXPECT_EQ(num_choices("target"), 10);
  EXPECT_EQ(num_choices("precision"), 7);
  auto const product = m.combinations / (10 * 7);
  EXPECT_EQ(refused("precision_native_on_target"), 5 * product);
  EXPECT_EQ(refused("tf32_on_target"), 3 * product);
  // A mixture has no stages and no epochs.
  auto const of_data = m.combinations / (2 * 2);
  EXPECT_EQ(refused("mixture_without_curriculum"), of_data);
  EXPECT_EQ(refused("mixture_has_no_epochs"), m.combinations / (2 * 4));
  // A foreign module computes in fp32: of its 10 x 7 pairs it takes both of fp32 on all ten targets and native on the three
  // without bf16.
  EXPECT_EQ(refused("module_in_fp32"), (70 - 23) * product / num_choices("model"));
  // Two of three choices of trainable keep weights: not on ranks (two of three), not in a foreign module, not on a GPU.
  EXPECT_EQ(refused("trainable_on_cpu"), m.combinations * 2 / 3 * 8 / 10);
  EXPECT_EQ(refused("trainable_on_one_rank"), m.combinations * 2 / 3 * 2 / 3);
  EXPECT_EQ(refused("trainable_static_layers"), m.combinations * 2 / 3 / num_choices("model"));
  // These numbers change with every policy that is registered in tests/support/policies.hpp: look at docs/legality.md
  // before and after, then write the new ones here.
  EXPECT_EQ(m.combinations, 3'225'600);
  EXPECT_EQ(m.legal, 373'120);
}

TEST("the counts add up, and no rule is asked about nothing") {
  auto const& m = all();
  std::int64_t first = 0;
  for (std::size_t r = 0; r < m.rules.size(); ++r) {
    first += m.refused_first[r];
    EXPECT(m.refused_first[r] <= m.refused[r]);
    EXPECT(!m.rules[r].refuses.empty());
  }
  EXPECT_EQ(first, m.combinations - m.legal);
}

/// The table is made of parts of recipes; here whole recipes are asked.
TEST("what the table says of a whole recipe is what the compiler's check says") {
  auto const& m = all();
  constexpr auto length = tn::horizon{tn::steps{20}};
  constexpr tn::batch rows{.sequence = tn::tokens{16}, .global = tn::samples{4}, .micro = tn::samples{2}};
  int asked = 0, illegal = 0;
  tn::hetero::for_each_combination(
      [&](auto const&... choice) {
        auto const r = tn::recipe(choice.policy..., length, rows);
        std::array<std::size_t, legality::num_axes> at{};
        auto const place = [&]<class Policy>(shipped::choice<Policy> const& c) {
          std::size_t const a = legality::place_of<typename Policy::axis>();
          auto const& names = m.axes[a].choices;
          at[a] = static_cast<std::size_t>(std::find(names.begin(), names.end(), c.name()) - names.begin());
        };
        (place(choice), ...);
        int const first = m.judge(at, [](std::size_t) {});
        int const contracts = static_cast<int>(std::count_if(
            m.rules.begin(), m.rules.end(), [](auto const& j) { return j.when == tn::rules::layer::contract; }));
        int const broken = tn::rules::broken_rule(r);
        ++asked, illegal += first >= 0;
        EXPECT_EQ(broken < 0 ? -1 : broken + contracts, first);
      },
      shipped::choices(tn::axis::model{}), tn::hetero::make(shipped::choice{tn::target::v100{}}),
      tn::hetero::make(shipped::choice{tn::precision::fp32{}}, shipped::choice{tn::precision::bf16{}}),
      shipped::choices(tn::axis::memory{}), shipped::choices(tn::axis::data{}),
      shipped::choices(tn::axis::curriculum{}));
  EXPECT(asked >= 32);
  EXPECT(illegal > asked / 2);
  EXPECT(illegal < asked);
}

TEST("docs/legality.md and docs/legality.json are what the rules say now (else: ./tenon test legality --update)") {
  EXPECT(legality::up_to_date("legality.md", legality::legality_page(all())));
  EXPECT(legality::up_to_date("legality.json", legality::legality_json(all())));
}

TEST("docs/rules.md is what the rules say now (else: ./tenon test legality --update)") {
  EXPECT(legality::up_to_date("rules.md", legality::rules_page()));
}

TEST("every rule has a file in tests/compile_fail of its name, which holds the remedy") {
  auto const check = [](std::string const& id) {
    DOCTEST_INFO("rule " << id);
    auto const example = legality::example_of(id);
    EXPECT(example.find("\n+ ") != example.npos);
  };
  std::vector<std::string> seen;
  for (auto const& r : legality::all_rules()) {
    if (r.when != tn::rules::layer::launch)
      check(r.id);
    else
      EXPECT(r.example.find("\n+ ") != r.example.npos);
    EXPECT(std::find(seen.begin(), seen.end(), r.id) == seen.end());
    seen.push_back(r.id);
    // [tenon.id] what was chosen, why not. What to write instead
    EXPECT(r.sentence.starts_with("[tenon." + r.id + "] "));
    EXPECT(r.sentence.find(". ") != r.sentence.npos);
    EXPECT(r.sentence.back() != '.');
  }
  EXPECT(seen.size() >= 41);
  for (auto const& d : legality::engine_sentences()) {
    check(d.id);
    EXPECT(d.sentence.find(". ") != d.sentence.npos);
  }
}

TEST("the trainers that are built have every legal pair of choices that select code, and no fewer could") {
  auto const rows = legality::all_trainers(all());
  auto const chosen = legality::covering(rows);
  std::set<legality::pair> wanted, had;
  for (auto const& row : rows) wanted.merge(legality::pairs_of(row));
  for (auto const& row : chosen) {
    EXPECT(all().judge(row, [](std::size_t) {}) < 0);
    had.merge(legality::pairs_of(row));
  }
  EXPECT(wanted == had);
  // 25: each of the five schedules stands in one trainer with each of ddp, mesh, lora, frozen and torch_module, and the
  // rules leave no two of these together.
  EXPECT_EQ(legality::least_size(rows), 25u);
  EXPECT_EQ(chosen.size(), legality::least_size(rows));
  std::printf("legality: %zu legal combinations select code of a trainer, %zu trainers have all %zu legal pairs\n",
              rows.size(), chosen.size(), wanted.size());
  EXPECT(legality::up_to_date("../tests/legality/trainers.inc", legality::trainers_text(chosen)));
  if (char const* to = std::getenv("TENON_ALL_TRAINERS"); to != nullptr)
    std::ofstream(to) << legality::trainers_text(rows);
}

TEST("a page that is stale is noticed") {
  matrix other = all();
  other.legal += 1;
  EXPECT(legality::legality_page(other) != legality::legality_page(all()));
  EXPECT(legality::legality_json(other) != legality::legality_json(all()));
}

}  // namespace
