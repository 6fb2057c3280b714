#pragma once
#include "tenon/exec/cpu/gemm.hpp"

// The team under another name ...
#define team plain_team
#include_next "tenon/exec/cpu/team.hpp"
#undef team

#include "split/clock.hpp"

/// ... and in its place one that knows how long its members wait. Layers, executor and kernels are tenon's, unchanged.
namespace tenon::exec::cpu {

class team : public plain_team {
 public:
  using plain_team::plain_team;
  void barrier() {
    split::in const waits(split::waiting);
    plain_team::barrier();
  }
};

}  // namespace tenon::exec::cpu
