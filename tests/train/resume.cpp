// A run that is cut, saved, loaded by a new trainer and continued ends with the bytes of one that was not; a checkpoint
// without any one part of the state does not.
#include <map>
#include <set>

#include "support/test.hpp"
#include "tenon/app/migrate.hpp"
#include "train/tiny.hpp"

namespace {

namespace tn = tenon;
inline constexpr auto shallow = tiny::fp32;
// [deeper]
inline constexpr auto deep = shallow.edit([](auto& r) { r.model.layers = 3; });
// [/deeper]

}  // namespace

// [migration]
template <>
struct tenon::migration<shallow, deep> {
  static void rules(tn::checkpoint::state_move& m) {
    m.initial("model.layers.2.*.exp_avg"), m.initial("model.layers.2.*.exp_avg_sq");  // moments of a new run: zero
    m.filled("model.layers.2.self_attn.o_proj.weight", 0);   // the new block adds nothing yet, so the model
    m.filled("model.layers.2.mlp.down_proj.weight", 0);      // computes what it did
    m.copied("model.layers.2.*", "model.layers.1.*");
    m.same("*");
  }
};
// [/migration]

using namespace tenon;
using namespace tenon::literals;

namespace {

/// Loads all but the names that begin with `without`; what the checkpoint has left over is not complained of here.
struct forgetful {
  train::detail::restorer& from;
  std::string without;
  int forgotten = 0;
  bool skips(std::string const& name) {
    bool const skip =
        name.rfind(without, 0) == 0 || (without[0] == '.' && name.size() > without.size() && name.ends_with(without));
    forgotten += skip;
    return skip;
  }
  template <class T>
  void tensor(train::file f, std::string const& name, std::vector<std::int64_t> const& shape, T* data) {
    if (!skips(name)) from.tensor(f, name, shape, data);
  }
  template <class T>
  void number(std::string const& name, T& value) {
    if (!skips(name)) from.number(name, value);
  }
};

/// The trainer of a build that forgets one component: its checkpoints are written and read without it, so nothing but the
/// replay can notice.
template <auto const& R, std::size_t Without>
struct forgetful_build : train::trainer<R> {
  using train::trainer<R>::trainer;
  auto components() {
    auto const keep = []<std::size_t I>(auto all, std::integral_constant<std::size_t, I>) {
      if constexpr (I == Without)
        return std::tuple{};
      else
        return std::tuple{std::get<I>(all)};
    };
    auto all = train::trainer<R>::components();
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple_cat(keep(all, std::integral_constant<std::size_t, I>{})...);
    }(std::make_index_sequence<std::tuple_size_v<decltype(all)>>{});
  }
};

std::set<std::string> differences(std::map<std::string, std::string> const& a,
                                  std::map<std::string, std::string> const& b) {
  std::set<std::string> names;
  for (auto const& [name, bytes] : a)
    if (b.count(name) == 0 || b.at(name) != bytes) names.insert(name);
  for (auto const& [name, unused] : b)
    if (a.count(name) == 0) names.insert(name);
  return names;
}

template <auto const& R>
void resumes_exactly(int members) {
  using trainer = train::trainer<R>;
  constexpr steps total = total_steps(R.horizon, R.batch);
  tiny::directory const run;

  trainer straight(R, members, total);
  auto const whole = tiny::run(straight, 12);
  auto const expected = tiny::state_of(straight);

  std::filesystem::path checkpoint;
  std::map<std::string, std::string> at_six;
  {
    trainer first(R, members, total);
    tiny::run(first, 6);
    at_six = tiny::state_of(first);
    checkpoint = tiny::saved(run.path, first);
    EXPECT((tiny::state_of(first) == at_six));  // saving changes nothing
  }
  EXPECT(!differences(at_six, expected).empty());
  trainer second(R, members, total);
  train::load_state(checkpoint, second);
  EXPECT((tiny::state_of(second) == at_six));
  auto const rest = tiny::run(second, 6);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    EXPECT_EQ(rest[i].loss, whole[i + 6].loss);
    EXPECT_EQ(rest[i].learning_rate, whole[i + 6].learning_rate);
    EXPECT_EQ(rest[i].gradient_norm, whole[i + 6].gradient_norm);
  }
  auto const resumed = tiny::state_of(second);
  for (auto const& name : differences(expected, resumed)) {
    DOCTEST_INFO(name);
    EXPECT(expected.at(name) == resumed.at(name));
  }
  EXPECT((expected == resumed));
  EXPECT(std::memcmp(straight.engine().master(), second.engine().master(), std::size_t(straight.engine().size()) * 4) ==
         0);
  using compute = std::remove_reference_t<decltype(*straight.engine().copy())>;
  EXPECT(std::memcmp(straight.engine().copy(), second.engine().copy(),
                     std::size_t(straight.engine().size()) * sizeof(compute)) == 0);

  std::vector<std::string> parts{"model.layers.1.mlp.down_proj",
                                 "model.norm",
                                 "lm_head",
                                 "optimizer.updates",
                                 "progress.step",
                                 "progress.tokens",
                                 "progress.cursor.sample"};
  for (auto const* moment : trainer::optimizer::moment_names) parts.push_back(std::string(".") + moment);
  if constexpr (trainer::scales_loss) parts.insert(parts.end(), {"loss_scale.scale", "loss_scale.good_steps"});
  for (auto const& part : parts) {
    DOCTEST_INFO("without " << part);
    trainer third(R, members, total);
    train::detail::restorer from(checkpoint);
    forgetful visitor{from, part};
    tiny::visit(third, visitor);
    third.engine().refresh_copy();
    EXPECT(visitor.forgotten > 0);
    EXPECT_THROWS_WITH(from.finish(), "which this program has no place for");
    tiny::run(third, 6);
    auto const wrong = differences(expected, tiny::state_of(third));
    EXPECT(!wrong.empty());
    // Beside the number itself: what is forgotten shows in the weights, except counters that only tell, and powers of
    // two.
    bool const only_tells = part == "progress.tokens" || part.rfind("loss_scale", 0) == 0 ||
                            (part == "optimizer.updates" && trainer::optimizer::num_moments == 1);
    if (!only_tells) EXPECT(wrong.count("model.embed_tokens.weight") == 1);
  }
}

/// State after 12 steps with a stop after 6, the checkpoint written and read by `Trainer`; empty where that is refused.
template <class Base, class Trainer>
std::map<std::string, std::string> replayed(typename Base::recipe_type const& r, steps total) {
  tiny::directory const run;
  try {
    Trainer first(r, 2, total), second(r, 2, total);
    tiny::run(static_cast<Base&>(first), 6);
    train::load_state(tiny::saved(run.path, first), second);
    tiny::run(static_cast<Base&>(second), 6);
    return tiny::state_of(static_cast<Base&>(second));
  } catch (error const&) {
    return {};
  }
}

template <auto const& R, std::size_t Components>
void no_component_is_optional() {
  using trainer = train::trainer<R>;
  using components = decltype(std::declval<trainer&>().components());
  static_assert(std::tuple_size_v<components> == Components);
  constexpr steps total = total_steps(R.horizon, R.batch);
  trainer straight(R, 2, total);
  tiny::run(straight, 12);
  auto const expected = tiny::state_of(straight);
  EXPECT((replayed<trainer, trainer>(R, total) == expected));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    auto const one = [&]<std::size_t Without>(std::integral_constant<std::size_t, Without>) {
      DOCTEST_INFO("a build without " << std::string(std::tuple_element_t<Without, components>::name));
      EXPECT((replayed<trainer, forgetful_build<R, Without>>(R, total) != expected));
    };
    (one(std::integral_constant<std::size_t, I>{}), ...);
  }(std::make_index_sequence<Components>{});
}

}  // namespace

TEST("R5, R6: a build that forgets one component of the state does not replay; which there are follows from the types") {
  SUBCASE("fp16 with loss scaling: parameters, optimizer, progress, loss scale") { no_component_is_optional<tiny::fp16, 4>(); }
  SUBCASE("a schedule of one's own with state") { no_component_is_optional<tiny::adaptive, 4>(); }
}

namespace {

struct two { std::int64_t a; double b; };
struct nested { two inner; double c; };
struct narrow { double a; float b; };
struct open_ended { two inner; std::vector<double> history; };
struct listed {
  std::vector<double> history;
  template <class V>
  static void visit(listed& l, std::string const& name, V& v) {
    v.tensor(train::file::state, name + ".history", {std::int64_t(l.history.size())}, nullptr);
  }
};
struct holds_listed { listed l; std::int64_t n; };

}  // namespace

TEST("a state that a checkpoint could not hold is found by its type") {
  static_assert(train::can_be_saved<two>() && train::can_be_saved<nested>() && train::can_be_saved<holds_listed>());
  static_assert(train::can_be_saved<optim::engine<optimizer::adamw>::state>());
  static_assert(!train::can_be_saved<narrow>() && !train::can_be_saved<open_ended>() && !train::can_be_saved<double*>());
  static_assert(!train::state_of<schedule::warmup_cosine>::exists && train::state_of<tiny::plateau>::exists);
}

TEST(
    "R6, K3: 12 steps, and 6 + a checkpoint + 6 in a new trainer, end with the same bytes; no part of the state may be left "
    "out") {
  SUBCASE("fp32, two members") { resumes_exactly<tiny::fp32>(2); }
  SUBCASE("fp32, one member") { resumes_exactly<tiny::fp32>(1); }
  SUBCASE("SGD, recomputing") { resumes_exactly<tiny::sgd>(2); }
  SUBCASE("bf16") { resumes_exactly<tiny::bf16>(2); }
  SUBCASE("fp16 with loss scaling") { resumes_exactly<tiny::fp16>(2); }
}

template <auto const& R>
void same_bits_for_any_team() {
  auto const after = [](int members) {
    train::trainer<R> t(R, members, total_steps(R.horizon, R.batch));
    tiny::run(t, 20);  // long enough that the team's size changes on the way (train/team_size.hpp)
    return tiny::state_of(t);
  };
  auto const alone = after(1);
  for (int members : {2, 3, 5}) EXPECT(differences(alone, after(members)).empty());
}

TEST("training ends with the same bytes for any number of members, also where it changes on the way") {
  SUBCASE("fp32") { same_bits_for_any_team<tiny::fp32>(); }
  SUBCASE("bf16") { same_bits_for_any_team<tiny::bf16>(); }
}

TEST("a checkpoint of another shape or precision is refused by the tensor's name") {
  tiny::directory const run;
  train::trainer<tiny::fp32> t(tiny::fp32, 1, 20_steps);
  tiny::run(t, 1);
  auto const at = tiny::saved(run.path, t);
  train::trainer<tiny::fp16> other(tiny::fp16, 1, 20_steps);
  EXPECT_THROWS_WITH(train::load_state(at, other), "has no tensor 'loss_scale.scale'");
}

TEST("K3: a checkpoint goes into a deeper model by a migration, and by nothing else") {
  tiny::directory const before, after, elsewhere;
  train::trainer<shallow> t(shallow, 1, 20_steps);
  tiny::run(t, 6);
  {
    checkpoint::transaction<> to(before.path, 6);
    train::save_state(to, t);
    checkpoint::manifest m;
    m.step = 6, m.machine.isa = "avx2";
    app::describe_in_manifest(m, t);
    to.commit(m);
  }
  train::trainer<deep> grown(deep, 1, 20_steps);
  EXPECT_THROWS_WITH(train::load_state(checkpoint::newest_valid(before.path).newest->directory, grown),
                     "has no tensor 'model.layers.2.input_layernorm.weight'");

  // [migrate]
  auto const checkpoint = tn::migrate<shallow, deep>(before.path, after.path);
  // [/migrate]
  train::load_state(checkpoint, grown);
  EXPECT_EQ(grown.progress().step, 6);
  EXPECT_EQ(grown.optimizer_state().updates, 6);
  // The new block adds nothing, so the seventh step of both sees the same loss, bit for bit; then it learns.
  EXPECT_EQ(tiny::run(grown, 1)[0].loss, tiny::run(t, 1)[0].loss);
  EXPECT(tiny::run(grown, 4).back().loss != tiny::run(t, 4).back().loss);

  auto const m = checkpoint::newest_valid(after.path).newest->contents;
  EXPECT_EQ(m.digests.identity, digests(deep).identity);
  EXPECT_EQ(m.parent_step.value(), 6);
  EXPECT_EQ(m.machine.isa, "avx2");
  REQUIRE(m.changes.size() == 1);
  EXPECT_EQ(m.changes[0].path + " " + m.changes[0].before + " " + m.changes[0].after, "model.layers 2 3");
  EXPECT(std::filesystem::exists(after.path / "recipe.json"));

  EXPECT_THROWS_WITH((migrate<shallow, deep>(before.path, after.path)), "has checkpoints already");
  EXPECT_THROWS_WITH((migrate<shallow, deep>(elsewhere.path, elsewhere.path / "new")), "holds no checkpoint");
  EXPECT_THROWS_WITH((migrate<shallow, deep>(after.path, elsewhere.path)), "model.layers is 3 in it and 2 in that recipe");
  static_assert(!app::has_migration<deep, shallow>);
}

namespace {

template <class A, class B>
concept adds = requires(A a, B b) {
  a + b;
};
template <class A, class B>
concept accumulates = requires(A a, B b) {
  a += b;
};
template <class A, class B>
concept divides = requires(A a, B b) {
  a / b;
};
using train::mean_loss, train::sum_count;

// What must not compile: a mean of means. Losses are put together as sums.
static_assert(!adds<mean_loss, mean_loss> && !adds<mean_loss, double> && !adds<double, mean_loss>);
static_assert(!accumulates<double&, mean_loss> && !divides<mean_loss, double> && !divides<mean_loss, int>);
static_assert(!std::is_constructible_v<mean_loss, double> && !std::is_constructible_v<mean_loss, sum_count>);
static_assert(adds<sum_count, sum_count> && accumulates<sum_count&, sum_count> && !divides<sum_count, double>);
static_assert(!std::is_convertible_v<sum_count, double> && !adds<sum_count, mean_loss>);

}  // namespace

TEST("N1, N6: only the step divides a loss; unequal counts add up as sums") {
  train::trainer<tiny::fp32> t(tiny::fp32, 1, 20_steps);
  auto const reports = tiny::run(t, 3);
  sum_count all;
  for (auto const& r : reports) {
    EXPECT_EQ(double(r.loss), r.total.sum() / double(r.count));
    EXPECT_EQ(r.total.count(), r.count);
    all += r.total;
  }
  EXPECT(reports[0].count != reports[1].count);
  EXPECT_EQ(all.count(), t.progress().tokens);
  EXPECT(all == reports[0].total + reports[1].total + reports[2].total);
}
