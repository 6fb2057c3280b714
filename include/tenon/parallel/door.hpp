#pragma once
#include "tenon/recipe/dtype.hpp"
#include "tenon/recipe/parallel.hpp"

/// The door between the step and the ranks. What stands behind it needs LibTorch's headers of c10d (9 s and 600 MB a
/// unit), so a program with ranks asks for it: #include <tenon/parallel.hpp>.
namespace tenon::parallel {

/// What a trainer of one process holds instead of ranks.
struct alone {};

/// What a trainer holds of the ranks, from its policy, engine and reduce dtype. <tenon/parallel.hpp> has the one of ddp
/// and mesh.
template <class Policy, class Engine, dtype Wire>
struct ranks_of {
  static_assert(!has_ranks<Policy>,
                "[tenon.parallel_included] the recipe spreads over ranks, and the code that does it was not included. "
                "Write #include <tenon/parallel.hpp>, or let tenon_add_trainer(... RANKS) or ./tenon train --ranks N do it");
  using type = alone;
};

/// Whether the code that connects GPUs is there: gpu_ranks.hpp says so.
template <class Engine>
inline constexpr bool gpus_connected = false;

/// How a program meets the other ranks: app::run asks it. Likewise.
template <class Policy>
struct company_of {
  using type = alone;
};

}  // namespace tenon::parallel
