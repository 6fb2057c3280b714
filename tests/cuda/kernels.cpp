// Single kernels on a GPU or the emulated one, where the model's shapes do not reach, and the emulation itself.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "cuda/rig.hpp"
#ifndef TENON_ON_GPU
#include "tenon/exec/cuda/device.cuh"
#endif

using namespace tenon;
using namespace tenon::exec::cuda;
using rigs::slack;

namespace {

stream the_stream() {
  static owned_stream const one = make_stream();
  return one.get();
}

/// Host values on the device, and back.
template <class T>
struct on_device {
  device_memory memory;
  std::size_t n;
  explicit on_device(std::vector<T> const& v) : memory(std::int64_t(v.size() * sizeof(T))), n(v.size()) {
    copy_to_device(the_stream(), memory.data(), v.data(), memory.bytes());
  }
  T* data() const { return reinterpret_cast<T*>(memory.data()); }
  std::vector<T> back() const {
    std::vector<T> v(n);
    copy_to_host(the_stream(), v.data(), memory.data(), memory.bytes());
    wait_for(the_stream());
    return v;
  }
};

template <class T>
std::vector<T> normal(std::size_t n, std::uint64_t seed) {
  random_stream const random(seed, "values");
  std::vector<T> v;
  for (std::size_t i = 0; i < n; ++i) v.push_back(nn::narrow<T>(float(random.normal(i))));
  return v;
}

/// Attention of one shape, forward and backward, against sums in fp64 over all pairs.
template <class T>
void attention_case(int heads, int kv_heads, int dim, std::int64_t sequence, double tolerance) {
  attention_shape const a{2, sequence, heads, kv_heads, dim, 1.f / std::sqrt(float(dim))};
  auto const n = std::size_t(a.samples * sequence), N = std::size_t(heads * dim), Kv = std::size_t(kv_heads * dim), H = std::size_t(heads);
  auto const q = normal<T>(n * N, 1), k = normal<T>(n * Kv, 2), v = normal<T>(n * Kv, 3);
  auto const d = normal<float>(n * N, 4);
  std::vector<std::int32_t> start(n);
  for (std::size_t i = 0; i < n; ++i) {
    auto const r = std::int32_t(i % std::size_t(sequence));
    start[i] = r == 0 ? 0 : r == 5 || r == 17 || r == 18 || r == 40 ? r : start[i - 1];
  }
  on_device<std::int32_t> const begin(start);
  on_device<T> gq(q), gk(k), gv(v), out(std::vector<T>(n * N)), dk(std::vector<T>(n * Kv)), dv(std::vector<T>(n * Kv));
  on_device<float> lse(std::vector<float>(n * H)), delta(std::vector<float>(n * H)), gd(d);
  auto const s = the_stream();
  attention<T>(s, a, begin.data(), gq.data(), gk.data(), gv.data(), out.data(), lse.data());
  auto const mixed = out.back();
  attention_backward<T>(s, a, begin.data(), gq.data(), gk.data(), gv.data(), out.data(), lse.data(), gd.data(), delta.data(), dk.data(), dv.data());

  std::vector<double> o(n * N), wq(n * N), wk(n * Kv), wv(n * Kv);
  auto const x = [](T t) { return double(nn::widen(t)); };
  for (std::size_t row = 0; row < n; ++row)
    for (int h = 0; h < heads; ++h) {
      auto const base = row / std::size_t(sequence) * std::size_t(sequence), first = base + std::size_t(start[row]);
      auto const Q = [&](int c) { return row * N + std::size_t(h * dim + c); };
      auto const K = [&](std::size_t j, int c) { return j * Kv + std::size_t(h / (heads / kv_heads) * dim + c); };
      std::vector<double> p;
      double sum = 0, projection = 0;
      for (auto j = first; j <= row; ++j) {
        double score = 0;
        for (int c = 0; c < dim; ++c) score += x(q[Q(c)]) * x(k[K(j, c)]);
        sum += p.emplace_back(std::exp(score * double(a.scale)));
      }
      for (auto j = first; j <= row; ++j)
        for (int c = 0; c < dim; ++c) o[Q(c)] += p[j - first] / sum * x(v[K(j, c)]);
      for (int c = 0; c < dim; ++c) projection += double(d[Q(c)]) * o[Q(c)];
      for (auto j = first; j <= row; ++j) {
        double const probability = p[j - first] / sum;
        double d_p = 0;
        for (int c = 0; c < dim; ++c) d_p += double(d[Q(c)]) * x(v[K(j, c)]);
        double const d_s = probability * (d_p - projection) * double(a.scale);
        for (int c = 0; c < dim; ++c)
          wq[Q(c)] += d_s * x(k[K(j, c)]), wk[K(j, c)] += d_s * x(q[Q(c)]), wv[K(j, c)] += probability * double(d[Q(c)]);
      }
    }
  auto const close = [&](std::vector<T> const& have, std::vector<double> const& want) {
    double off = 0, norm = 0;
    for (std::size_t i = 0; i < want.size(); ++i) off += std::pow(x(have[i]) - want[i], 2), norm += want[i] * want[i];
    EXPECT(std::sqrt(off) <= slack * tolerance * std::max(std::sqrt(norm), 1e-3));  // of one row, scores have no gradient
  };
  close(mixed, o), close(gq.back(), wq), close(gk.back(), wk), close(gv.back(), wv);
}

#ifndef TENON_ON_GPU
/// The exit of a child that runs `f`: 0, or the signal that ended it.
template <class F>
int signal_of(F f) {
  std::fflush(nullptr);
  pid_t const child = ::fork();
  if (child == 0) {
    (void)std::freopen("/dev/null", "w", stderr);
    for (int sig : {SIGABRT, SIGSEGV}) std::signal(sig, SIG_DFL);
    f();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void sum_without_barrier(float const* in, float* out) {
  auto* const at = reinterpret_cast<float*>(room());
  at[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = at[(threadIdx.x + 1) % blockDim.x];  // of a thread that may not have written
}
void barrier_in_a_branch(float*) {
  if (threadIdx.x < 3) __syncthreads();
}
void write_behind(float*) { reinterpret_cast<float*>(room())[64] = 1; }
#endif

}  // namespace

TEST("attention: head widths that fill no tile, one tile, many; documents of one row; groups") {
  SUBCASE("narrow") { attention_case<float>(4, 2, 10, 23, 1e-6); }
  SUBCASE("64") { attention_case<float>(2, 1, 64, 50, 1e-6); }
  SUBCASE("widest") { attention_case<float>(1, 1, 256, 19, 1e-6); }
  SUBCASE("bf16") { attention_case<nn::bf16>(2, 2, 32, 33, 5e-3); }
  SUBCASE("one row") { attention_case<nn::fp16>(2, 1, 16, 1, 1e-3); }
}

TEST("cross entropy: a vocabulary of more than one round of a block, logits far apart, rows without a target") {
  constexpr int vocab = 1000;
  auto logits = normal<float>(std::size_t(5 * vocab), 9);
  for (auto& l : logits) l *= 20;
  logits[std::size_t(vocab + 7)] = 90, logits[std::size_t(2 * vocab)] = -90;
  std::vector<std::int32_t> const targets{3, 7, -1, 999, 0};
  on_device<float> const x(logits), seed(std::vector<float>{0.5f});
  on_device<std::int32_t> const t(targets);
  on_device<float> d(logits);  // in the place of the logits
  on_device<double> loss(std::vector<double>(5)), tiles(std::vector<double>{100.});
  auto const s = the_stream();
  cross_entropy_gradient<float>(s, 5, vocab, d.data(), t.data(), 0.25f, seed.data(), d.data(), loss.data());
  add_row_losses(s, 5, loss.data(), tiles.data());
  auto const have = d.back();
  double total = 0;
  for (std::size_t row = 0; row < 5; ++row) {
    double top = -1e30, sum = 0;
    for (std::size_t j = 0; j < vocab; ++j) top = std::max(top, double(logits[row * vocab + j]));
    for (std::size_t j = 0; j < vocab; ++j) sum += std::exp(double(logits[row * vocab + j]) - top);
    double off = 0;
    for (std::size_t j = 0; j < vocab; ++j) {
      double const p = std::exp(double(logits[row * vocab + j]) - top) / sum - (int(j) == targets[row] ? 1 : 0);
      off = std::max(off, std::abs(double(have[row * vocab + j]) - (targets[row] < 0 ? 0. : 0.125 * p)));
    }
    EXPECT(off < 1e-6);
    if (targets[row] >= 0) total += top + std::log(sum) - double(logits[row * vocab + std::size_t(targets[row])]);
  }
  EXPECT_NEAR(tiles.back()[0], 100 + total, 1e-4);
  on_device<double> alone(std::vector<double>(5));
  cross_entropy(s, 5, vocab, x.data(), t.data(), alone.data());
  EXPECT(alone.back() == loss.back());
}

TEST("a gradient that is infinite somewhere has an infinite norm; what the map leaves out does not count") {
  std::vector<float> g(40'000, 0.5f);
  std::vector<std::uint8_t> map(2'500, counted | trained);
  g[100] = std::numeric_limits<float>::infinity(), map[6] = trained;
  on_device<std::uint8_t> const m(map);
  on_device<double> squares(std::vector<double>(3));
  auto const s = the_stream();
  on_device<float> const some(g);
  sum_squares(s, 40'000, m.data(), some.data(), squares.data());
  double total = 0;
  for (auto const q : squares.back()) total += q;
  EXPECT_NEAR(total, (40'000 - 16) * 0.25, 1e-9);
  g[30'000] = std::numeric_limits<float>::infinity();
  on_device<float> const more(g);
  sum_squares(s, 40'000, m.data(), more.data(), squares.data());
  EXPECT(std::isinf(squares.back()[1]));
}

#ifndef TENON_ON_GPU
TEST("the emulation notices what it is there for") {
  auto const s = the_stream();
  std::vector<float> const in = normal<float>(64, 1);
  on_device<float> const from(in), to(std::vector<float>(64));
  auto const run = [&] {
    launch(s, "", 1, 64, 64 * 4, sum_without_barrier, from.data(), to.data());
    auto const got = to.back();
    return std::vector<std::uint32_t>(reinterpret_cast<std::uint32_t const*>(got.data()), reinterpret_cast<std::uint32_t const*>(got.data()) + 64);
  };
  auto const forward = run();
  emulation::threads_run = emulation::order::backward;
  EXPECT(run() != forward);  // a missing barrier
  emulation::threads_run = emulation::order::forward;
  float* const device = to.data();
  EXPECT_EQ(signal_of([&] { launch(s, "", 1, 64, 0, barrier_in_a_branch, device); }), SIGABRT);
  EXPECT_EQ(signal_of([&] { launch(s, "", 1, 64, 256, write_behind, device); }), SIGABRT);
  EXPECT_EQ(signal_of([&] { device[0] = 1; }), SIGSEGV);  // the host in memory of the device
  EXPECT_EQ(signal_of([] {}), 0);
}
#endif
