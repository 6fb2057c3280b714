// Ranks on emulated GPUs, each a process of its own, over the emulated NCCL: the exchange inside of the engine's step.
#ifndef TENON_ON_GPU
#include <sys/wait.h>

#include "cuda/rig.hpp"
#include "tenon/parallel/gpu_exchange.hpp"

using namespace tenon;
using namespace rigs;

namespace {

/// What a rank tells: in memory that parent and children share.
template <class Model>
struct told {
  static constexpr int steps = 3;
  double loss[steps], norm[steps], scale;
  std::int64_t applied[steps], targets, reductions, skipped;
  float gradient[std::size_t(model_size<Model>)], weights[std::size_t(model_size<Model>)];
};

struct arrangement {
  emulation::when streams = emulation::when::at_once;
  bool graphs = true;
  double scale = 1;         ///< of the loss, at the start
  int without_targets = -1; ///< a rank that has none
  std::int64_t bucket = 4096;
  int many_documents = -1;  ///< a step in which the last sample has more than a graph has room for
};

/// Two micro-batches of two samples for one rank alone; each of two ranks takes one of them.
template <class Model, class Compute>
void train(exec::cuda::communicator* c, int rank, int size, arrangement const& a, told<Model>& t) {
  constexpr bool scales = std::is_same_v<Compute, nn::fp16>;
  rig<Model, Compute> gpu(2, 20, 4 / size, adamw(1, scales), a.scale);
  gpu.on.allow_graphs(a.graphs);
  parallel::gpu_exchange<Model> exchange(c, gpu.on.stream(), gpu.on.gradient(),
                                         parallel::make_buckets(parallel::readiness<Model>::places(), a.bucket, 4));
  for (int s = 0; s < told<Model>::steps; ++s) {
    step_rows rows(4, 2, 20, Model::vocab, std::uint64_t(s));
    if (s == a.many_documents)
      for (std::size_t i = rows.tokens.size() - 20; i < rows.tokens.size(); ++i) rows.document_start[i] = std::int32_t(i % 20), rows.positions[i] = 0;
    std::int64_t count = 0, most = 0;
    auto const mine = rows.samples / size;
    for (int r = 0; r < size; ++r)
      for (auto i = r * mine * 20; i < (r + 1) * mine * 20; ++i) {
        if (r == a.without_targets) rows.targets[std::size_t(i)] = -1;
        count += rows.targets[std::size_t(i)] >= 0;
        if (r == rank && s == 0) t.targets += rows.targets[std::size_t(i)] >= 0;
      }
    for (int r = 0; r < size; ++r) most = std::max(most, gpu.on.documents(rows.view(r * mine, mine)));
    EXPECT_EQ(most > 8, s == a.many_documents);
    gpu.on.step(rows.view(rank * mine, mine), 1e-3 * (s + 1), count, exchange, int(most));
    auto const n = gpu.on.report();
    EXPECT_EQ(gpu.on.passed(), s + 1);
    t.loss[s] = n.loss / double(count), t.norm[s] = n.norm, t.applied[s] = n.applied, t.scale = n.scale, t.skipped = n.skipped;
    if (s == 0) std::copy_n(gpu.gradients().data(), model_size<Model>, t.gradient);
  }
  EXPECT_EQ(gpu.on.replays(), a.graphs);
  t.reductions = emulation::reductions;
  std::copy_n(gpu.weights().data(), model_size<Model>, t.weights);
  gpu.on.allow_graphs(false);  // a graph goes before what it was captured with
}

/// What each of `size` ranks tells at the end.
template <class Model, class Compute>
std::vector<told<Model>> on_ranks(int size, arrangement const& a = {}) {
  auto const bytes = sizeof(told<Model>) * std::size_t(size);
  auto* const all = static_cast<told<Model>*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(all != MAP_FAILED);
  auto const id = exec::cuda::make_communicator_id();
  std::vector<pid_t> pids;
  std::fflush(nullptr);
  for (int r = 0; r < size; ++r) {
    pids.push_back(::fork());
    if (pids.back() != 0) continue;
    int code = 0;
    try {
      emulation::streams_run = a.streams, emulation::reductions = 0;
      exec::cuda::communicator c(id, r, size);
      train<Model, Compute>(&c, r, size, a, all[r]);
    } catch (std::exception const& e) {
      std::fprintf(stderr, "rank %d: %s\n", r, e.what()), code = 1;
    }
    ::_exit(code);
  }
  for (auto const pid : pids) {
    int status = -1;
    ::waitpid(pid, &status, 0);
    REQUIRE(status == 0);
  }
  std::vector<told<Model>> const copy(all, all + size);
  ::munmap(all, bytes);
  return copy;
}
template <class Model>
std::vector<float> gradient_of(told<Model> const& t) { return {t.gradient, t.gradient + model_size<Model>}; }
template <class Model>
std::vector<float> weights_of(told<Model> const& t) { return {t.weights, t.weights + model_size<Model>}; }

/// `all_orders`: of streams, with and without graphs.
template <class Model>
void one_is_two(bool all_orders) {
  using emulation::when;
  auto const one = on_ranks<Model, float>(1), two = on_ranks<Model, float>(2), four = on_ranks<Model, float>(4);
  EXPECT(two[0].targets != two[1].targets);
  auto const buckets = parallel::make_buckets(parallel::readiness<Model>::places(), 4096, 4).all.size();
  REQUIRE(buckets > 2);
  EXPECT_EQ(two[0].reductions, std::int64_t(buckets + 1) * told<Model>::steps);
  for (auto const& each : {two[0], two[1], four[0], four[3]}) {
    EXPECT(worst<Model>(gradient_of(each), one[0].gradient) < 1e-6);
    for (int s = 0; s < told<Model>::steps; ++s) {
      EXPECT_NEAR(each.loss[s], one[0].loss[s], 1e-6 * one[0].loss[s]);
      EXPECT_NEAR(each.norm[s], one[0].norm[s], 1e-5 * one[0].norm[s]);
    }
  }
  // The same on both, to the bit, and each time; whatever a stream that nobody waits for may do; in a graph or not.
  std::vector<told<Model>> others{two[1], on_ranks<Model, float>(2, {.streams = when::first_stream_first})[1]};
  if (all_orders)
    for (bool const graphs : {true, false}) {
      others.push_back(on_ranks<Model, float>(2, {.streams = when::last_stream_first, .graphs = graphs})[0]);
      if (!graphs) others.push_back(on_ranks<Model, float>(2, {.streams = when::first_stream_first, .graphs = false})[0]);
    }
  for (auto const& other : others) {
    EXPECT(same_bits(weights_of(other), weights_of(two[0])));
    EXPECT(std::memcmp(other.norm, two[0].norm, sizeof other.norm) == 0);
    EXPECT(std::memcmp(other.loss, two[0].loss, sizeof other.loss) == 0);
  }
}

}  // namespace

TEST("a step that does not fit into one rank's graph goes kernel by kernel on all") {
  auto const a = on_ranks<untied, float>(2, {.many_documents = 2}), b = on_ranks<untied, float>(1, {.many_documents = 2});
  EXPECT(same_bits(weights_of(a[0]), weights_of(a[1])));
  for (int s = 0; s < told<untied>::steps; ++s) EXPECT_NEAR(a[0].loss[s], b[0].loss[s], 1e-6 * b[0].loss[s]);
}

TEST("1, 2 and 4 ranks over the same global batches have the same gradients and losses, and two are bit-identical") {
  SUBCASE("untied") { one_is_two<untied>(true); }
  SUBCASE("tied, recomputed") { one_is_two<tied>(false); }
}

TEST("an overflow on one rank is an overflow on all: they skip and scale alike, with nothing but the gradient exchanged") {
  // The rank without targets has a gradient of zeros; the other one overflows until the scale has fallen.
  auto const t = on_ranks<untied, nn::fp16>(2, {.scale = 0x1p34, .without_targets = 0});
  EXPECT_EQ(t[0].targets, 0);
  for (auto const& each : t) {
    EXPECT_EQ(each.applied[0], 0);
    EXPECT_EQ(each.skipped, t[1].skipped);
    EXPECT_EQ(each.scale, t[1].scale);
  }
  EXPECT_EQ(t[0].scale, std::ldexp(0x1p34, -int(t[0].skipped)));
  EXPECT(std::memcmp(t[0].norm, t[1].norm, sizeof t[0].norm) == 0);
  EXPECT(same_bits(weights_of(t[0]), weights_of(t[1])));
}

TEST("a sum that is not finite is so on all ranks, whatever the others bring") {
  // The decision is a function of the sum (decide_step), the sum is the same on all ranks, and no addend can make it finite again.
  float const finite[]{0.f, 1.f, -3e38f, 3e38f}, infinity = std::numeric_limits<float>::infinity();
  for (float const bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()})
    for (float const good : finite) EXPECT(!std::isfinite(bad + good));
  for (float const other : {infinity, -infinity}) EXPECT(!std::isfinite(infinity + other));
}

TEST("what goes wrong in NCCL is told, and an abort ends a sum that would never end") {
  auto const id = exec::cuda::make_communicator_id();
  pid_t const child = ::fork();
  if (child == 0) {
    exec::cuda::communicator c(id, 1, 2);
    ::_exit(0);  // it comes, and goes
  }
  exec::cuda::communicator c(id, 0, 2);
  int status = -1;
  ::waitpid(child, &status, 0);
  REQUIRE(status == 0);
  EXPECT_EQ(c.trouble(), "");
  exec::cuda::device_memory room(64);
  auto const s = exec::cuda::make_stream();
  emulation::fault = {.number = 1, .error = ncclRemoteError};
  std::string said;
  std::thread guard([&] {
    while (said.empty()) said = c.trouble();
    c.abort();
  });
  c.sum(s.get(), reinterpret_cast<float*>(room.data()), 16);
  guard.join();
  emulation::fault = {};
  EXPECT_EQ(said, "NCCL: remote process exited or there was a network error");
  EXPECT_EQ(c.trouble(), "");
  EXPECT_THROWS_WITH(c.sum(s.get(), reinterpret_cast<float*>(room.data()), 16), "given up");
}
#endif
