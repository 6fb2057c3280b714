#pragma once
// A GPU in plain C++, as far as include/tenon/exec/cuda uses one: the headers in this folder stand in for CUDA's, so that
// g++ compiles the library's kernels and its engine from their own source and runs them. Threads of a block are fibers,
// blocks run one after the other. What it catches: wrong indices and shapes, wrong layouts of cuBLASLt's operands, a
// barrier that some threads do not reach (it stops), a barrier that is missing (other orders of the threads give other
// bits), reads of shared memory that nobody has written (it is NaN before), a host that touches memory of the device (it is
// protected), values of one step that a graph has kept, a stream that does not wait for what it needs (streams_run). What it
// cannot show: that the hardware does the same.
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
inline dim3 threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim, gridDim;

namespace tenon::exec::cuda {
inline double shared_room[16 * 1024];
}

namespace emulation {

enum class order { forward, backward, mixed };
inline order threads_run = order::forward;
inline int devices = 1;
inline void* fresh = nullptr;  ///< memory that was taken last and not yet touched
inline std::int64_t launches = 0, allocations = 0, allocated = 0, graph_launches = 0;

[[noreturn]] inline void stop(char const* sentence) {
  std::fprintf(stderr, "emulation: %s\n", sentence);
  std::abort();
}

// ---- Memory of the device: the host may not touch it.

inline std::map<void*, std::size_t>& regions() {
  static std::map<void*, std::size_t> all;
  return all;
}
/// While one lives, the device works.
struct device_at_work {
  static inline int depth = 0;
  device_at_work() {
    if (depth++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  ~device_at_work() {
    if (--depth == 0) protect(PROT_NONE);
  }
  static void protect(int how) {
    for (auto const& [p, n] : regions()) ::mprotect(p, n, how);
  }
};

// ---- Threads of a block.

struct barrier {
  unsigned expected = 0, arrived = 0, generation = 0;
};
/// Made once; takes the body of one block after the other. Switching is _setjmp and _longjmp, which ask nothing of the system.
struct fiber {
  ucontext_t context;
  jmp_buf here;
  bool done = true, begun = false;
};
inline constexpr std::size_t stack_bytes = 64 * 1024;
struct block_state {
  std::vector<std::unique_ptr<fiber>> fibers;
  std::vector<std::unique_ptr<char[]>> stacks;
  std::vector<barrier> warps;
  std::vector<double> slots;
  barrier whole;
  jmp_buf scheduler;
  unsigned current = 0;
  std::function<void()> const* body = nullptr;
  std::uint64_t progress = 0;
};
inline block_state& state() {
  static block_state s;
  return s;
}
inline void yield() {
  auto& s = state();
  if (_setjmp(s.fibers[s.current]->here) == 0) _longjmp(s.scheduler, 1);
}
/// Runs a thread until it waits or ends.
inline void resume(fiber& f) {
  auto& s = state();
  if (_setjmp(s.scheduler) != 0) return;
  if (f.begun) _longjmp(f.here, 1);
  f.begun = true;
  ::setcontext(&f.context);
}
inline void wait_at(barrier& b) {
  auto& s = state();
  ++s.progress;
  auto const mine = b.generation;
  if (++b.arrived == b.expected) {
    b.arrived = 0, ++b.generation;
  } else {
    while (b.generation == mine) yield();
  }
}
inline void fiber_main() {
  for (;;) {
    (*state().body)();
    state().fibers[state().current]->done = true, ++state().progress;
    yield();
  }
}
inline void run_block(unsigned threads, std::function<void()> const& body) {
  auto& s = state();
  while (s.fibers.size() < threads) {
    auto& f = *s.fibers.emplace_back(std::make_unique<fiber>());
    ::getcontext(&f.context);
    f.context.uc_stack.ss_sp = s.stacks.emplace_back(new char[stack_bytes]).get(), f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    ::makecontext(&f.context, &fiber_main, 0);
  }
  s.warps.assign((threads + 31) / 32, {}), s.slots.assign(threads, 0), s.whole = {threads, 0, 0};
  for (unsigned t = 0; t < threads; ++t) ++s.warps[t / 32].expected;
  s.body = &body;
  std::vector<unsigned> turn(threads);
  for (unsigned t = 0; t < threads; ++t) {
    turn[t] = threads_run == order::forward ? t : threads_run == order::backward ? threads - 1 - t : (t * 97 + 31) % threads;
    s.fibers[t]->done = false;
  }
  for (unsigned left = threads; left > 0;) {
    auto const before = s.progress;
    left = 0;
    for (unsigned const t : turn) {
      if (s.fibers[t]->done) continue;
      s.current = t, threadIdx = {t, 0, 0};
      resume(*s.fibers[t]);
      if (!s.fibers[t]->done) ++left;
    }
    if (left > 0 && s.progress == before) stop("threads wait at a barrier that others never reach");
  }
}

// ---- Streams, events and graphs.

using work = std::function<void()>;
struct graph;
/// `passed`: tickets of records that have been reached.
struct event_state {
  std::uint64_t recorded = 0, passed = 0;
  graph* in = nullptr;  ///< the capture that recorded it last
};
struct item {
  work run{};
  event_state *records = nullptr, *waits = nullptr;
  std::uint64_t ticket = 0;
};
using lane = std::deque<item>;
struct stream_state {
  lane pending;
  graph* capturing = nullptr;
  std::size_t lane_of_graph = 0;
};
/// What streams have put in, in their order (`all`) and by stream; the first is the one that began.
struct graph {
  std::vector<item> all;
  std::vector<lane> lanes;
  std::vector<stream_state*> streams;
};
/// When work of a stream runs. at_once: when it is put in. Else when somebody waits for it, and then as much as can run of
/// the stream that was made first, or last, before anything of the others: what a missing event allows, happens.
enum class when { at_once, first_stream_first, last_stream_first };
inline when streams_run = when::at_once;

inline std::vector<stream_state*>& streams() {
  static std::vector<stream_state*> all;
  return all;
}
/// Runs one item, of the first lane in order whose first item can run.
template <class Passed>
bool run_one(std::vector<lane*> const& lanes, Passed&& passed) {
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    auto& l = *lanes[streams_run == when::last_stream_first ? lanes.size() - 1 - i : i];
    if (l.empty() || (l.front().waits != nullptr && passed(l.front().waits) < l.front().ticket)) continue;
    item const now = std::move(l.front());
    l.pop_front();
    if (now.records != nullptr) passed(now.records) = now.ticket;
    if (now.run) now.run();
    return true;
  }
  return false;
}
inline void run_until(std::function<bool()> const& done) {
  std::vector<lane*> lanes;
  for (auto* s : streams()) lanes.push_back(&s->pending);
  while (!done())
    if (!run_one(lanes, [](event_state* e) -> std::uint64_t& { return e->passed; })) stop("streams wait for each other");
}
inline void run_all() {
  run_until([] { return std::all_of(streams().begin(), streams().end(), [](auto* s) { return s->pending.empty(); }); });
}
inline void put(stream_state* s, item i) {
  if (s->capturing != nullptr) {
    s->capturing->all.push_back(i), s->capturing->lanes[s->lane_of_graph].push_back(std::move(i));
  } else if (streams_run == when::at_once) {
    if (i.records != nullptr) i.records->passed = i.ticket;
    if (i.run) i.run();
  } else {
    s->pending.push_back(std::move(i));
  }
}
inline void enqueue(stream_state* s, work w) { put(s, {.run = std::move(w)}); }
inline void run_graph(graph const& g) {
  if (streams_run == when::at_once) {
    for (auto const& i : g.all)
      if (i.run) i.run();
    return;
  }
  auto left = g.lanes;
  std::vector<lane*> lanes;
  for (auto& l : left) lanes.push_back(&l);
  std::map<event_state*, std::uint64_t> passed;
  while (run_one(lanes, [&](event_state* e) -> std::uint64_t& { return passed[e]; })) {}
  for (auto const& l : left)
    if (!l.empty()) stop("parts of a graph wait for each other");
}
inline void begin_capture(stream_state* s, graph* g) {
  s->capturing = g, s->lane_of_graph = g->lanes.size();
  g->lanes.emplace_back(), g->streams.push_back(s);
}
/// Whether what every other stream put in last is waited for by one that the first waits for.
inline bool joined(graph const& g) {
  for (std::size_t l = 1; l < g.lanes.size(); ++l) {
    auto const* last = g.lanes[l].empty() ? nullptr : &g.lanes[l].back();
    bool found = last == nullptr;
    for (auto const& i : g.lanes[0])
      found = found || (last->records != nullptr && i.waits == last->records && i.ticket == last->ticket);
    if (!found) return false;
  }
  return true;
}

inline void run_grid(dim3 grid, dim3 threads, std::size_t shared, std::function<void()> const& body) {
  device_at_work const working;
  ++launches;
  gridDim = grid, blockDim = threads;
  auto& room = tenon::exec::cuda::shared_room;
  if (shared + 8 > sizeof room) stop("more shared memory than a block has");
  if (threads.y != 1 || threads.z != 1 || threads.x > 1024) stop("a shape of blocks that this emulation does not have");
  std::size_t const words = (shared + 7) / 8;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
        std::memset(room, 0xff, (words + 1) * 8);  // NaN, as fp32 and as fp64
        run_block(threads.x, body);
        std::uint64_t canary = 0;
        std::memcpy(&canary, &room[words], 8);
        if (canary != ~std::uint64_t{0}) stop("a block wrote behind its shared memory");
      }
}

}  // namespace emulation
