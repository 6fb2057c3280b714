#pragma once
// A module written with LibTorch's own layers, trained by tenon's loop: its data, schedule, optimizer pass and checkpoints.
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include <tenon/train/torch_module.hpp>
#include <tenon/tenon.hpp>

namespace tn = tenon;
using namespace tenon::literals;

/// A small recurrent language model; any module with tokens [B, T] in and logits [B, T, vocab] out will do.
struct recurrent : torch::nn::Module {
  static constexpr int vocab = 512, width = 64;
  torch::nn::Embedding table{nullptr};
  torch::nn::GRU memory{nullptr};
  torch::nn::Linear head{nullptr};
  recurrent() {
    table = register_module("table", torch::nn::Embedding(vocab, width));
    memory = register_module("memory", torch::nn::GRU(torch::nn::GRUOptions(width, width).batch_first(true)));
    head = register_module("head", torch::nn::Linear(width, vocab));
  }
  at::Tensor forward(at::Tensor const& tokens) { return head(std::get<0>(memory(table(tokens)))); }
};

inline constexpr auto torch_module = tn::recipe(
    tn::model::torch_module<recurrent>{.vocab = recurrent::vocab},
    tn::precision::fp32{},
    tn::horizon{100_steps},
    tn::batch{.sequence = 64_tokens, .global = 16_samples, .micro = 8_samples},
    tn::schedule::warmup_cosine{.peak = 3e-3, .warmup = 10_steps});
