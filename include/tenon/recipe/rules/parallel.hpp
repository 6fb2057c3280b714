#pragma once
#include "tenon/recipe/model.hpp"
#include "tenon/recipe/parallel.hpp"
#include "tenon/recipe/rules/rule.hpp"

/// Rules about ranks.
namespace tenon::rules {

struct ranks_in_range : rule<layer::numbers, axis::parallel> {
#define TENON_TEXT                                                                                                \
  "[tenon.ranks_in_range] ranks must be from 1 to 65'536, bucket at least 1 byte and patience from 1 second to a " \
  "day. Write parallel::ddp{.ranks = 2}, and leave the others out for 4 MiB and 60 seconds"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = parallel::has_ranks<parallel_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const p = parallel::replicas_of(r.parallel);
    return p.ranks >= 1 && p.ranks <= 65'536 && p.bucket.count >= 1 && p.patience.count >= 1 &&
           p.patience.count <= 86'400;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    auto const p = parallel::replicas_of(r.parallel);
    return std::array{finding{"ranks", p.ranks}, finding{"bucket", p.bucket}, finding{"patience", p.patience}};
  }
};

struct ranks_divide_global : rule<layer::numbers, axis::batch, axis::parallel> {
#define TENON_TEXT                                                                                               \
  "[tenon.ranks_divide_global] batch.global is not a multiple of batch.micro times the ranks, so the ranks would " \
  "have micro-batches of different number. Choose .global as a multiple of .micro times .ranks"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool applies = parallel::has_ranks<parallel_of<R>>;
  template <class R>
  static constexpr bool holds(R const& r, known = {}) {
    auto const ranks = parallel::replicas_of(r.parallel).ranks;
    if (ranks < 1 || r.batch.micro.count < 1 || r.batch.micro.count >= std::int64_t{1} << 31) return true;
    return r.batch.global.count % (r.batch.micro.count * ranks) == 0;
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"batch.global", r.batch.global}, finding{"batch.micro", r.batch.micro},
                      finding{"ranks", parallel::replicas_of(r.parallel).ranks}};
  }
};

struct ranks_need_layers : rule<layer::shape, axis::model, axis::parallel> {
#define TENON_TEXT                                                                                            \
  "[tenon.ranks_need_layers] ranks exchange the gradients of tenon's own layers, but this model is a foreign " \
  "module whose buffers and random numbers would differ from rank to rank. Write parallel::single{}"
  static constexpr std::string_view sentence = TENON_TEXT;
  template <auto... Values>
  struct with {
    static_assert(never<Values...>, TENON_TEXT);
  };
#undef TENON_TEXT
  template <class R>
  static constexpr bool holds(R const&, known = {}) {
    return !parallel::has_ranks<parallel_of<R>> || model_of<R>::kind != "torch_module";
  }
  template <class R>
  static constexpr auto seen(R const& r) {
    return std::array{finding{"model", r.model.kind}, finding{"parallel", r.parallel.kind}};
  }
};

using parallel_rules = list<ranks_in_range, ranks_divide_global, ranks_need_layers>;

}  // namespace tenon::rules
