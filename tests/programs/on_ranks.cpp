// A small run on ranks as a program of its own: tests/ranks starts, kills, stops and resumes it. TENON_TEST_FAULT="RANK
// STEP PLACE SIGNAL" makes a rank send itself a signal at a place of a step: forward, backward or reduction (in the
// backward pass of the last micro-batch, when buckets are on their way), and prints the time of the system's monotonic clock
// before. Only in a launcher's first attempt.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

#include <tenon/tenon.hpp>
//
#include <tenon/parallel.hpp>

using namespace tenon;
using namespace tenon::literals;

inline constexpr auto small = recipe(
    model::deepseek_llm{
        .vocab = 320, .hidden = 32, .layers = 4, .heads = 4, .kv_heads = 2, .intermediate = 48, .positions = 64},
    precision::fp32{}, horizon{24_steps}, batch{.sequence = 32_tokens, .global = 16_samples, .micro = 2_samples},
    schedule::warmup_cosine{.peak = 3e-3, .warmup = 4_steps}, parallel::ddp{.ranks = 2, .bucket = bytes{16'384}},
    checkpoint::every{.period = period{5_steps}, .keep = 3}, observe::standard{.evaluate_every = 8_steps});

// With TENON_TEST_CHAT: conversations of two sources.
inline constexpr auto chat = small.edit([](auto& r) { r.model.vocab = 336, r.batch.sequence = 64_tokens; })
                                 .with(objective::sft{}, data::mixed({2, 1}));

namespace faults {

std::string variable(char const* name) {
  char const* const text = std::getenv(name);
  return text == nullptr ? "" : text;
}
struct plan {
  int signal = 0;
  std::int64_t step = 0;
  std::string place;
  int micro_batches = 1;
  plan() {
    int rank = -1;
    std::istringstream in(variable("TENON_TEST_FAULT"));
    in >> rank >> step >> place >> signal;
    auto const attempt = variable("TORCHELASTIC_RESTART_COUNT");
    if (!in || std::to_string(rank) != variable("RANK") || (!attempt.empty() && attempt != "0")) signal = 0;
    micro_batches = 8 / std::max(1, std::atoi(variable("WORLD_SIZE").c_str()));
  }
  void at(std::int64_t now, char const* where) {
    if (signal == 0 || now != step || place != where) return;
    std::fprintf(stderr, "fault at %lld ns\n", static_cast<long long>(std::chrono::steady_clock::now().time_since_epoch().count()));
    ::raise(std::exchange(signal, 0));  // once
  }
};
inline plan& the_plan() {
  static plan p;
  return p;
}

/// Any store, with faults at its leases. Counts of member 0 alone.
template <class Store>
struct faulty_store {
  Store& to;
  std::int64_t step;
  bool last;
  int lent = 0;

  auto embedding() const { return to.embedding(); }
  template <int Section = 0>
  auto block(int i) {
    if (lent++ == 2) the_plan().at(step, "forward");
    return to.template block<Section>(i);
  }
  auto head() const { return to.head(); }
  auto embedding_sink(bool first) const { return to.embedding_sink(first); }
  template <int Section = 0>
  auto block_sink(int i, bool first) const {
    if (i == 2) the_plan().at(step, "backward");
    if (i == 0 && last) the_plan().at(step, "reduction");
    return to.template block_sink<Section>(i, first);
  }
  auto head_sink(bool first) const { return to.head_sink(first); }
};

template <class Model>
struct faulty : Model {
  template <class X, class Store, class T>
  static void forward_backward(X& x, Store& store, nn::micro_batch const& b, typename Model::template saved<T> const& s,
                               typename Model::scratch const& t, float seed, bool first) {
    static thread_local std::int64_t calls = 0;
    std::int64_t const step = calls / the_plan().micro_batches + 1;
    bool const last = ++calls % the_plan().micro_batches == 0;
    faulty_store<Store> f{store, x.member() == 0 ? step : 0, last};
    Model::forward_backward(x, f, b, s, t, seed, first);
  }
};

}  // namespace faults

namespace tenon::train {
/// The library's engine around the faulty model.
template <>
struct engine_for<model::deepseek_llm> {
  template <auto const& R>
  using type = static_engine<faults::faulty<models::of_recipe<R>>, models::compute_of<R>>;
  template <auto const& R, class Recipe>
  static type<R> make(Recipe const& r, std::int64_t num_rows, int members) {
    return {num_rows, r.batch.sequence.count, members, models::rotation_of(r.model)};
  }
};
}  // namespace tenon::train

int main(int argc, char** argv) {
  return faults::variable("TENON_TEST_CHAT").empty() ? run<small>(argc, argv) : run<chat>(argc, argv);
}
