#pragma once
/// A run on several ranks (parallel::ddp, parallel::mesh): include it beside <tenon/tenon.hpp>. It brings LibTorch's c10d.
#include "tenon/app/ranks.hpp"
#include "tenon/parallel/group.hpp"
#include "tenon/parallel/ranks.hpp"
