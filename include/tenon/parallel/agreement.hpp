#pragma once
#include <algorithm>
#include <bit>
#include <string>

#include "tenon/parallel/group.hpp"

namespace tenon::parallel {

/// What the ranks of a run agree on around each step, over their group; the gradients go another way.
class agreement {
 public:
  /// Takes the reference of a group that outlives the trainer.
  explicit agreement(group& g) : group_(&g) {}

  group& company() const { return *group_; }
  /// This rank has been asked to stop (a signal): all will, after the step that begins next.
  void ask_to_stop(bool asked) { asked_ = asked; }
  /// Whether any rank was asked to stop before this step began; the same on all.
  bool stops() const { return stops_; }
  /// `mine` added over the ranks, in their order; -1 on all where one of them was stopped on the way.
  double sum_of_all(double mine, bool stopped) {
    struct part {
      double sum;
      std::int64_t stopped;
    };
    double sum = 0;
    for (auto const& p : group_->gather(part{mine, stopped ? 1 : 0}, "the end of the evaluation")) {
      if (p.stopped != 0) return -1;
      sum += p.sum;
    }
    return sum;
  }

 protected:
  struct beginning {
    std::int64_t targets;    ///< of the step, over all ranks
    std::int64_t documents;  ///< the most that a micro-batch of it has, on any rank
  };
  /// What the ranks must know of a step before its first pass. `norm`: of the gradient of the last step that this rank
  /// has the report of, the `reported`-th. Throws departure where a rank is lost, and where ranks do not have the same norm
  /// of the same step: then their weights have come apart.
  beginning begin(beginning const& mine, double norm, std::int64_t reported) {
    struct note {
      beginning of;
      std::int64_t stop, reported;
      std::uint64_t norm;
    };
    auto const all = group_->gather(note{mine, asked_ ? 1 : 0, reported, std::bit_cast<std::uint64_t>(norm)},
                                    "the beginning of the step");
    beginning together{};
    stops_ = false;
    for (std::size_t r = 0; r < all.size(); ++r) {
      together.targets += all[r].of.targets, together.documents = std::max(together.documents, all[r].of.documents);
      stops_ = stops_ || all[r].stop != 0;
      if (all[r].reported == all[0].reported && all[r].norm != all[0].norm)
        throw departure(group_->announce(
            {1, "rank " + std::to_string(r) + " on " + group_->host_of(int(r)) +
                    " does not have the same gradient as rank 0; its memory or its network is not in order. Go on from the "
                    "last checkpoint, without that machine"}));
    }
    return together;
  }

 private:
  group* group_;
  bool asked_ = false, stops_ = false;
};

}  // namespace tenon::parallel
