#pragma once
#include <algorithm>
#include <array>
#include <vector>

#include "tenon/exec/activations.hpp"
#include "tenon/exec/cuda/arena.hpp"
#include "tenon/exec/cuda/batch_arrays.hpp"
#include "tenon/exec/cuda/executor.hpp"

namespace tenon::exec::cuda {

/// Who else works on a step: nobody. What stands here for ranks puts their exchange into the step (parallel/gpu_exchange.hpp).
struct no_exchange {
  template <class Store>
  Store around(Store const& s, bool) const {
    return s;
  }
};

/// A model with its parameters, moments and memory on one GPU, and the whole step over them. The step is put into one
/// stream and decides everything there: loss scale, clipping, whether to move. The host sends numbers and tokens ahead
/// and reads reports behind; nobody waits inside a step. From the second step on it is one CUDA graph.
///
/// `Moments`: of the optimizer, each an array of `Moment` (float or nn::bf16). `Attention`: own_attention, or the library's.
template <class Model, class Compute, int Moments, class Attention = own_attention, class Moment = float>
class device {
 public:
  using executor = cuda::executor<Compute, Attention>;
  using saved_type = typename Model::template saved<Compute>;
  using layout = flat_layout<Model>;
  static constexpr std::int64_t size = layout::total;
  /// Kernels of a step that are still captured as one graph; longer steps go to the stream one by one.
  static constexpr std::int64_t longest_graph = 1 << 16;

  /// `samples`, `sequence`: of a micro-batch. `map`: a granule for each 16 parameters.
  device(int index, std::int64_t samples, std::int64_t sequence, std::int64_t micro_batches, nn::rotation const& turn,
         step_rules const& rules, std::vector<std::uint8_t> const& map)
      : samples_(samples),
        sequence_(sequence),
        micro_batches_(micro_batches),
        rules_(rules),
        stream_(on(index)),
        arena_(arena_bytes<Model, Compute, Moments>(samples * sequence, micro_batches, sizeof(Moment))),
        writer_(Model::vocab),
        sent_{pinned_memory(sent_bytes()), pinned_memory(sent_bytes())},
        reports_{pinned_memory(sizeof(step_numbers)), pinned_memory(sizeof(step_numbers))},
        passed_(sizeof(std::int64_t)),
        free_{make_event(), make_event()},
        done_{make_event(), make_event()},
        gemm_(lay_out(), rules.tf32) {
    rotary_tables(turn);
    copy_to_device(stream(), map_, map.data(), std::int64_t(map.size()));
    step_numbers const start{};
    copy_to_device(stream(), numbers_, &start, sizeof start);
    wait_for(stream());
  }

  cuda::stream stream() const { return stream_.get(); }
  std::int64_t bytes() const { return arena_.bytes(); }
  float* master() const { return master_; }
  float* gradient() const { return gradient_; }
  Moment* moment(int m) const { return moments_[std::size_t(m)]; }
  lender<Model, Compute> store() const { return {master_, gradient_, compute_}; }
  saved_type const& saved() const { return saved_; }
  bool replays() const { return bool(graph_); }
  void allow_graphs(bool yes) { graphs_ = yes, graph_ = {}; }

  /// Puts a whole step into the stream. `b`: the step's rows on the host, micro_batches x samples. Its report is fetched
  /// by `report`, in the order of the steps; at most two may be on their way. `count`: over all ranks, whose `exchange` is the
  /// same object in all steps. `documents`: the most of a micro-batch on any rank, because NCCL wants a graph on all or none.
  void step(nn::micro_batch const& b, double rate, std::int64_t count) {
    no_exchange nobody;
    step(b, rate, count, nobody);
  }
  template <class Exchange>
  void step(nn::micro_batch const& b, double rate, std::int64_t count, Exchange& exchange, int documents = 0) {
    auto const slot = std::size_t(steps_ % 2);
    check(cudaEventSynchronize(free_[slot].get()), "waiting for an earlier step");  // two steps ago: long done
    bool const few = send(slot, b, rate, count, documents);
    bool const whole = graphs_ && few && steps_ > 0 && micro_batches_ * Model::layers * 64 <= longest_graph;
    if (!whole) {
      issue(exchange);
    } else {
      if (!graph_) graph_ = capture(stream(), [&] { issue(exchange); });
      replay(stream(), graph_);
    }
    copy_to_host(stream(), reports_[slot].data(), numbers_, sizeof(step_numbers));
    check(cudaEventRecord(done_[slot].get(), stream()), "marking the end of a step");
    ++steps_;
  }
  /// Waits for the oldest step whose report was not fetched.
  step_numbers report() {
    auto const slot = std::size_t(reported_++ % 2);
    check(cudaEventSynchronize(done_[slot].get()), "a step");
    step_numbers r;
    std::memcpy(&r, reports_[slot].data(), sizeof r);
    return r;
  }
  std::int64_t in_flight() const { return steps_ - reported_; }
  std::int64_t issued() const { return steps_; }
  /// Whether the oldest step whose report was not fetched is done.
  bool has_report() const { return is_done(done_[std::size_t(reported_ % 2)]); }
  /// The most documents that a micro-batch of a step has.
  std::int64_t documents(nn::micro_batch const& b) const {
    std::int64_t most = 0;
    for (std::int64_t m = 0; m < micro_batches_; ++m) most = std::max<std::int64_t>(most, batch_writer::documents(part(b, m)));
    return most;
  }
  /// Steps whose passes are done here; what is left of the last of them waits for other ranks. From any thread.
  std::int64_t passed() const { return *reinterpret_cast<std::int64_t const volatile*>(passed_.data()); }

  /// Sum of -log p over the rows of one micro-batch, forward only.
  double evaluate(nn::micro_batch const& b) {
    wait_for(stream());
    documents_ = writer_.write(b, sent_[0].data(), rows());
    copy_to_device(stream(), batches_, sent_[0].data(), batch_arrays * batch_array_bytes(rows()));
    clear_loss();
    auto x = executor_of(0);
    auto s = store();
    Model::evaluate(x, s, view(0, b.samples), saved_);
    auto const tiles = nn::num_row_tiles(b.num_rows());
    std::vector<double> losses(std::size_t(tiles), 0.);
    copy_to_host(stream(), losses.data(), saved_.head.loss.data, tiles * 8);
    wait_for(stream());
    double total = 0;
    for (auto const l : losses) total += l;
    return total;
  }

  /// State from the host: master weights, moments, and the numbers that move (scale, good_steps, skipped, updates).
  void load(float const* master, std::array<Moment const*, Moments> const& moments, step_numbers const& numbers) {
    wait_for(stream());
    copy_to_device(stream(), master_, master, size * 4);
    for (std::size_t m = 0; m < Moments; ++m)
      if (moments[m] != nullptr) copy_to_device(stream(), moments_[m], moments[m], size * std::int64_t(sizeof(Moment)));
    copy_to_device(stream(), numbers_, &numbers, sizeof numbers);
    if constexpr (!std::is_same_v<Compute, float>) refresh<Compute>(stream(), size, master_, compute_);
    wait_for(stream());
  }
  /// The same to the host.
  step_numbers fetch(float* master, std::array<Moment*, Moments> const& moments) const {
    wait_for(stream());
    if (master != nullptr) copy_to_host(stream(), master, master_, size * 4);
    for (std::size_t m = 0; m < Moments; ++m)
      if (moments[m] != nullptr) copy_to_host(stream(), moments[m], moments_[m], size * std::int64_t(sizeof(Moment)));
    step_numbers numbers;
    copy_to_host(stream(), &numbers, numbers_, sizeof numbers);
    wait_for(stream());
    return numbers;
  }

  /// One micro-batch's passes alone, on arrays that were sent before; for whoever puts the parts together otherwise.
  executor executor_of(std::int64_t micro) const {
    auto const at = [&](int i) { return reinterpret_cast<std::int32_t const*>(batches_ + (micro * batch_arrays + i) * batch_array_bytes(rows())); };
    return {stream(), gemm_, room_, {at(4), at(5), documents_, int(sequence_)}, &numbers_->seed};
  }

 private:
  static owned_stream on(int index) {
    check(cudaSetDevice(index), "choosing the GPU");
    return make_stream();
  }
  std::int64_t rows() const { return samples_ * sequence_; }
  std::int64_t sent_bytes() const { return micro_batches_ * batch_arrays * batch_array_bytes(rows()) + place_alignment; }

  /// Parts the arena; returns the place of cuBLASLt's workspace.
  void* lay_out() {
    auto* at = arena_.data();
    auto const take = [&](std::int64_t bytes) {
      auto* const here = at;
      at += nn::align_up(bytes, place_alignment);
      return here;
    };
    auto const floats = [&] { return reinterpret_cast<float*>(take(size * 4)); };
    master_ = floats(), gradient_ = floats();
    for (auto& m : moments_) m = reinterpret_cast<Moment*>(take(size * std::int64_t(sizeof(Moment))));
    if constexpr (std::is_same_v<Compute, float>)
      compute_ = master_;
    else
      compute_ = reinterpret_cast<Compute*>(take(size * std::int64_t(sizeof(Compute))));
    nn::bind_activations(saved_, take(nn::activation_bytes<saved_type>(rows(), 1)), rows(), 1);
    nn::bind_activations(scratch_, take(nn::activation_bytes<typename Model::scratch>(rows(), 1)), rows(), 1);
    std::array<std::byte*, 12> place{};
    for_each_place<Model, Compute>(rows(), micro_batches_, size, [&](int i, std::int64_t bytes) { place[std::size_t(i)] = take(bytes); });
    room_ = {{reinterpret_cast<float*>(place[0]), reinterpret_cast<Compute*>(place[1]), reinterpret_cast<Compute*>(place[2]),
              reinterpret_cast<Compute*>(place[3])},
             reinterpret_cast<double*>(place[4])};
    squares_ = reinterpret_cast<double*>(place[6]), map_ = reinterpret_cast<std::uint8_t*>(place[7]);
    numbers_ = reinterpret_cast<step_numbers*>(place[8]), batches_ = place[9];
    cos_ = reinterpret_cast<float*>(place[10]), sin_ = reinterpret_cast<float*>(place[11]);
    return place[5];
  }

  void rotary_tables(nn::rotation const& turn) {
    constexpr int half = Model::head_dim / 2;
    std::vector<float> c(std::size_t(Model::positions) * half), s(c.size());
    exec::rotary_tables(turn, Model::positions, Model::head_dim, c.data(), s.data());
    copy_to_device(stream(), cos_, c.data(), std::int64_t(c.size()) * 4);
    copy_to_device(stream(), sin_, s.data(), std::int64_t(s.size()) * 4);
    wait_for(stream());
  }

  /// Sends numbers and rows of a step. Returns whether no micro-batch has more documents than a graph has room for.
  bool send(std::size_t slot, nn::micro_batch const& b, double rate, std::int64_t count, int elsewhere) {
    auto* const from = sent_[slot].data();
    int most = 0;
    for (std::int64_t m = 0; m < micro_batches_; ++m)
      most = std::max(most, writer_.write(part(b, m), from + m * batch_arrays * batch_array_bytes(rows()), rows()));
    auto* const numbers = from + micro_batches_ * batch_arrays * batch_array_bytes(rows());
    auto const number = steps_ + 1;
    std::memcpy(numbers, &rate, 8), std::memcpy(numbers + 8, &count, 8), std::memcpy(numbers + 16, &number, 8);
    copy_to_device(stream(), batches_, from, micro_batches_ * batch_arrays * batch_array_bytes(rows()));
    copy_to_device(stream(), numbers_, numbers, host_part);
    check(cudaEventRecord(free_[slot].get(), stream()), "marking what was sent");
    bool const few = std::max(most, elsewhere) <= graph_documents();
    documents_ = few ? graph_documents() : most;
    return few;
  }
  /// Documents of a micro-batch that a graph has room for; a launch needs a number that does not change.
  int graph_documents() const { return int(std::min<std::int64_t>(rows(), samples_ * std::max<std::int64_t>(4, sequence_ / 64))); }

  static nn::micro_batch part(nn::micro_batch b, std::int64_t first_row, std::int64_t samples) {
    b.samples = samples;
    b.tokens += first_row, b.targets += first_row, b.positions += first_row, b.document_start += first_row;
    return b;
  }
  nn::micro_batch part(nn::micro_batch const& b, std::int64_t m) const { return part(b, m * rows(), samples_); }

  nn::micro_batch view(std::int64_t micro, std::int64_t samples) const {
    auto const at = [&](int i) { return reinterpret_cast<std::int32_t const*>(batches_ + (micro * batch_arrays + i) * batch_array_bytes(rows())); };
    nn::micro_batch b{.samples = samples, .sequence = sequence_};
    b.tokens = at(0), b.targets = at(1), b.positions = at(2), b.document_start = at(3);
    b.rotary_cos = cos_, b.rotary_sin = sin_;
    return b;
  }
  std::int64_t tiles() const { return nn::num_row_tiles(rows()); }
  void clear_loss() const { clear_on_device(stream(), saved_.head.loss.data, tiles() * 8); }

  /// A whole step, from what was sent. Everything that changes from step to step lies in memory of the device.
  template <class Exchange>
  void issue(Exchange& exchange) {
    begin_step(stream(), numbers_);
    clear_loss();
    auto const own = store();
    for (std::int64_t m = 0; m < micro_batches_; ++m) {
      auto x = executor_of(m);
      auto s = exchange.around(own, m + 1 == micro_batches_);
      Model::forward_backward(x, s, view(m, samples_), saved_, scratch_, 1.f, m == 0);
    }
    if constexpr (!std::is_same_v<Exchange, no_exchange>) {
      copy_to_host(stream(), passed_.data(), &numbers_->number, sizeof numbers_->number);
      exchange.end(saved_.head.loss.data, tiles());
    }
    sum_squares(stream(), size, map_, gradient_, squares_);
    decide(stream(), rules_, num_norm_chunks(size), squares_, tiles(), saved_.head.loss.data, numbers_);
    update<Compute, Moment>(stream(), rules_, size, map_, numbers_, gradient_, master_, Moments > 0 ? moments_[0] : nullptr,
                            Moments > 1 ? moments_[1] : nullptr, compute_);
  }

  std::int64_t samples_, sequence_, micro_batches_;
  step_rules rules_;
  owned_stream stream_;
  device_memory arena_;
  batch_writer writer_;
  std::array<pinned_memory, 2> sent_, reports_;
  pinned_memory passed_;
  std::array<owned_event, 2> free_, done_;
  float *master_ = nullptr, *gradient_ = nullptr, *cos_ = nullptr, *sin_ = nullptr;
  std::array<Moment*, Moments> moments_{};
  Compute* compute_ = nullptr;
  saved_type saved_{};
  typename Model::scratch scratch_{};
  workspace_places<Compute> room_{};
  double* squares_ = nullptr;
  std::uint8_t* map_ = nullptr;
  step_numbers* numbers_ = nullptr;
  std::byte* batches_ = nullptr;
  mutable gemm gemm_;
  owned_graph graph_;
  bool graphs_ = true;
  int documents_ = 0;
  std::int64_t steps_ = 0, reported_ = 0;
};

}  // namespace tenon::exec::cuda
