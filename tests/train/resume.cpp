// A run that is cut, saved, loaded by a new trainer and continued ends with the bytes of one that was not; a checkpoint
// without any one part of the state does not.
#include <map>
#include <set>

#include "support/test.hpp"
#include "train/tiny.hpp"

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
  void tensor(train::file f, std::string const& name, std::vector<std::int64_t> const& shape, float* data) {
    if (!skips(name)) from.tensor(f, name, shape, data);
  }
  template <class T>
  void number(std::string const& name, T& value) {
    if (!skips(name)) from.number(name, value);
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
                                 "cursor.sample"};
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

}  // namespace

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
    tiny::run(t, 4);
    return tiny::state_of(t);
  };
  auto const alone = after(1);
  for (int members : {2, 3, 5}) EXPECT(differences(alone, after(members)).empty());
}

TEST("training ends with the same bytes for any number of members") {
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
