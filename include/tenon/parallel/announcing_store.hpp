#pragma once
#include <utility>

#include "tenon/parallel/buckets.hpp"

namespace tenon::parallel {

/// A parameter store that says when a group's gradients are complete: the lease of a group's places says so when it ends
/// (exec::parameter_store and docs/design.md, "Parameters and leases"). Every member of the team takes and ends every
/// lease, so the listener counts. Weights are lent as they are. Made anew for each micro-batch; a listener of null, in all
/// micro-batches but the last, hears nothing.
template <class Model, class Store, class Listener>
class announcing_store {
 public:
  announcing_store(Store const& store, Listener* listener) : store_(&store), listener_(listener) {}

  auto embedding() const { return store_->embedding(); }
  template <int Section = 0>
  auto block(int i) const {
    return store_->template block<Section>(i);
  }
  auto head() const { return store_->head(); }

  auto embedding_sink(bool first) const {
    return announced(store_->embedding_sink(first), readiness<Model>::embedding);
  }
  template <int Section = 0>
  auto block_sink(int i, bool first) const {
    return announced(store_->template block_sink<Section>(i, first), readiness<Model>::template block<Section>(i));
  }
  auto head_sink(bool first) const { return announced(store_->head_sink(first), readiness<Model>::head); }

 private:
  template <class Sink>
  struct lease : Sink {
    lease(Sink const& sink, Listener* listener, int group) : Sink(sink), listener_(listener), group_(group) {}
    lease(lease const&) = delete;
    lease& operator=(lease const&) = delete;
    ~lease() {
      if (listener_ != nullptr) listener_->ready(group_);
    }

   private:
    Listener* listener_;
    int group_;
  };
  template <class Sink>
  lease<Sink> announced(Sink const& sink, int group) const {
    return {sink, listener_, group};
  }

  Store const* store_;
  Listener* listener_;
};

}  // namespace tenon::parallel
