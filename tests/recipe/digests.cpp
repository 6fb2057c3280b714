// Digests are one text's, whoever computes them: the compiler, the program, g++ or clang (these pins hold in both builds).
#include <random>
#include <set>

#include "recipe/support/recipes.hpp"
#include "support/policies.hpp"
#include "support/test.hpp"
#include "tenon/recipe/digests.hpp"
#include "tenon/recipe/json.hpp"
#include "tenon/variants/base.hpp"
#include "tenon/variants/pro.hpp"
#include "tenon/variants/ultra.hpp"

namespace {

namespace tn = tenon;
using recipes::tiny;

std::string hex(tn::sha256::digest_type const& d) { return tn::sha256::hex(d); }

/// Computed by the compiler; that it can is the test.
template <auto const& R>
constexpr auto identity = tn::canonical_text::hash<tn::digest::identity>(R);
template <auto const& R>
constexpr auto layout = tn::canonical_text::hash<tn::digest::layout>(R);
template <auto const& R>
constexpr auto numbers = tn::canonical_text::hash<tn::digest::numbers>(R);

template <auto const& R>
void the_compiler_agrees() {
  auto const d = tn::digests(R);
  EXPECT_EQ(hex(identity<R>), d.identity);
  EXPECT_EQ(hex(layout<R>), d.layout);
  EXPECT_EQ(hex(numbers<R>), d.numbers);
  for (auto const which : {tn::digest::identity, tn::digest::layout, tn::digest::numbers}) {
    auto const text = tn::sha256::hex_of(tn::canonical(R, which));
    EXPECT_EQ(text, which == tn::digest::identity ? d.identity : which == tn::digest::layout ? d.layout : d.numbers);
  }
  EXPECT_EQ(std::string(tn::compiled_digests<R>.text()),
            "tenon recipe: identity " + d.identity + " layout " + d.layout + " numbers " + d.numbers);
}

constexpr auto odd = tiny.with(tn::curriculum::by_length({{.until = tn::steps{10}, .high = 0.5}, {.until = tn::steps{20}}}))
                         .with(tn::optimizer::sgd{.momentum = 0.875}, tn::schedule::constant{.peak = 1.5e-7}, tn::horizon{tn::tokens{123456789}})
                         .edit([](auto& r) { r.seed.value = 18446744073709551615u; });

/// A number as the compiler would write it.
std::string short_text(double v) {
  std::string all;
  auto sink = [&](std::string_view piece) { all += piece; };
  tn::canonical_text::write_short_number(sink, v);
  return all;
}

TEST("the compiler's digests are the program's") {
  the_compiler_agrees<tiny>();
  the_compiler_agrees<odd>();
  the_compiler_agrees<tn::variants::base>();
  the_compiler_agrees<tn::variants::pro>();
  the_compiler_agrees<tn::variants::ultra>();
}

TEST("the digests of the variants are pinned, on every compiler") {
  EXPECT_EQ(tn::digests(tn::variants::base).identity, "3b65d9a4bf373ce4d5aab3a9ff36a5b384d4358666a19cd6c070ab6b3eb19e94");
  EXPECT_EQ(tn::digests(tn::variants::base).layout, "70dd1181d4065f34755497db54bd501c5d44ef40350f4eb3e8e7822372c5b909");
  EXPECT_EQ(tn::digests(tn::variants::base).numbers, "5dd504fb605dec067e0828b6a544b1ff09019cda78ebf3f7d9dd4b3fb7f41147");
  EXPECT_EQ(tn::digests(tn::variants::pro).identity, "1e93273ffb445aeb41b87412a7856c903ec017a3555a0168ee60f9b0a629c588");
  EXPECT_EQ(tn::digests(tn::variants::ultra).identity, "591f88ccce7fd3daf32af5a9eb258395f718f7810faf5036030a0b5671d31b58");
}

TEST("a number is the same text from the compiler and from std::to_chars") {
  for (double v : {0.0, 1.0, -1.0, 0.1, 0.95, 0.999, 1e-3, 1e-4, 3e-4, 1.5e-7, 1e-8, 5.5e-9, 1e4, 1e5, 123456.0, 65536.0, 1e6,
                   1e15, 1e22, 0.02, 2.5, 12.75, 100.25, 1234567.5, 1e-20})
    EXPECT_EQ(short_text(v), tn::to_text(v));
  std::mt19937_64 random(7);
  int written = 0;
  for (int i = 0; i < 20000; ++i) {
    double const v = double(std::int64_t(random() % 2000000) - 1000000) * (random() % 2 ? 1e-3 : 1e-6) * (random() % 2 ? 1 : 1e5);
    double decimal = 0;
    tn::parse_text(tn::to_text(v), decimal);
    try {
      auto const text = short_text(decimal);
      EXPECT_EQ(text, tn::to_text(decimal));
      ++written;
    } catch (tn::error const&) {
    }
  }
  EXPECT(written > 15000);
  EXPECT_THROWS_WITH(short_text(1.0 / 3), "too many digits");
}

TEST("every fixed or trajectory field of every policy belongs to exactly one digest; an operational one to none, or to layout where it spreads the work") {
  int fields = 0;
  shipped::for_each_axis_tag([&](auto tag) {
    tn::hetero::for_each(shipped::choices(tag), [&](auto const& choice) {
      auto one = [&](std::string const& path, auto const& member) {
        using traits = tn::field_traits<std::remove_cvref_t<decltype(member)>>;
        DOCTEST_INFO(path);
        ++fields;
        bool const operational = traits::classification == tn::field_class::operational;
        EXPECT((traits::belongs_to == tn::digest::none ? operational : !operational || traits::belongs_to == tn::digest::layout));
      };
      auto const policy = choice.policy;
      tn::fields::walk(std::string(decltype(tag)::name), policy, one);
    });
  });
  EXPECT(fields > 80);
}

TEST("diff names the fields that differ") {
  auto const other = tiny.with(tn::optimizer::sgd{}).edit([](auto& r) { r.schedule.peak = 2e-3, r.batch.micro = tn::samples{8}; });
  EXPECT(tn::diff(tiny, tiny).empty());
  EXPECT_EQ(tn::to_text(tn::diff(tiny, tiny)), "");
  EXPECT_EQ(tn::to_text(tn::diff(tiny, other)),
            "batch.micro             4_samples  8_samples  layout\n"
            "optimizer               adamw      sgd        identity\n"
            "optimizer.beta1         0.9        -          numbers\n"
            "optimizer.beta2         0.95       -          numbers\n"
            "optimizer.epsilon       1e-08      -          numbers\n"
            "optimizer.weight_decay  0.1        0          numbers\n"
            "schedule.peak           0.001      0.002      numbers\n"
            "optimizer.momentum      -          0.9        numbers\n"
            "optimizer.nesterov      -          false      identity\n");
}

TEST("a description is text, JSON and Markdown, of the same lines") {
  auto const lines = tn::describe_fields(tiny);
  auto const json = tn::describe_json(tiny);
  auto const page = tn::describe_markdown(tiny);
  auto const text = tn::describe(tiny);
  REQUIRE(json.size() == lines.size());
  std::size_t rows = 0;
  for (char const c : page) rows += c == '\n';
  EXPECT_EQ(rows, lines.size() + 2);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(json[i].at("path").get<std::string>(), lines[i].path);
    EXPECT_EQ(json[i].at("value").get<std::string>(), lines[i].value);
    EXPECT_EQ(json[i].at("from").get<std::string>(), std::string(tn::name_of(lines[i].from)));
    EXPECT_EQ(json[i].at("digest").get<std::string>(), tn::to_text(lines[i].belongs_to));
    EXPECT(text.find(lines[i].path + " ") != text.npos);
    EXPECT(page.find("| `" + lines[i].path + "` | ") != page.npos);
  }
  EXPECT(page.find("| `schedule.warmup` | `100_steps` | trajectory | numbers | ") != page.npos);
}

}  // namespace
