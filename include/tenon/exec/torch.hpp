#pragma once
// The LibTorch headers that tenon's engine uses, in one place: the precompiled header of trainers. Per-operator headers
// only: <torch/torch.h> costs 21 s and 1.4 GB a unit.
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/vec.h>
