"""The same decoder and step in PyTorch, eager or compiled: what `bench_step` (bench/step_main.cpp) is compared with.

    python torch_step.py DIR [--threads N] [--compile default|max-autotune]

DIR is what bench_step wrote: spec.json (sizes, rates), weights.safetensors, batches.bin (int32 [batches][samples][sequence + 1]).
One JSON line when ready; then each line of standard input (`run N`, `pinned N`, `allocations N`, `product`, `stats`, `quit`)
is answered with one, as orders.hpp tells. Each operation is the best that torch offers: scaled_dot_product_attention,
rms_norm, AdamW with fused=True. --compile: forward pass and loss through torch.compile, and with them the backward pass.
"""
import argparse
import ctypes
import json
import os
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("dir")
parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
parser.add_argument("--device", default="cpu", help="cuda: bf16 under autocast, masters in fp32")
parser.add_argument("--compile", choices=["default", "max-autotune"], help="the mode of torch.compile (default: eager)")
args = parser.parse_args()
start = time.perf_counter()

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

torch.set_num_threads(args.threads)
with open(os.path.join(args.dir, "spec.json")) as file:
    spec = json.load(file)
clip = spec["clip"]


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(spec["hidden"]))

    def forward(self, x):
        return F.rms_norm(x, (spec["hidden"],), self.weight, spec["norm_eps"])


def linear(outputs, inputs):
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.dim = spec["hidden"] // spec["heads"]
        self.q_proj = linear(spec["hidden"], spec["hidden"])
        self.k_proj = linear(spec["kv_heads"] * self.dim, spec["hidden"])
        self.v_proj = linear(spec["kv_heads"] * self.dim, spec["hidden"])
        self.o_proj = linear(spec["hidden"], spec["hidden"])

    def forward(self, x, cos, sin):
        samples, sequence, _ = x.shape
        q, k, v = (p(x).view(samples, sequence, -1, self.dim).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        y = F.scaled_dot_product_attention(rotated(q, cos, sin), rotated(k, cos, sin), v, is_causal=True,
                                           enable_gqa=spec["kv_heads"] != spec["heads"])
        return self.o_proj(y.transpose(1, 2).reshape(samples, sequence, -1))


def rotated(x, cos, sin):
    a, b = x.chunk(2, dim=-1)  # the halves of a head are the pairs' members
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj = linear(spec["intermediate"], spec["hidden"])
        self.up_proj = linear(spec["intermediate"], spec["hidden"])
        self.down_proj = linear(spec["hidden"], spec["intermediate"])

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm, self.self_attn = Norm(), Attention()
        self.post_attention_layernorm, self.mlp = Norm(), Mlp()

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(spec["vocab"], spec["hidden"])
        self.layers = nn.ModuleList(Block() for _ in range(spec["layers"]))
        self.norm = Norm()


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        if not spec["tied"]:
            self.lm_head = linear(spec["vocab"], spec["hidden"])
        dim = spec["hidden"] // spec["heads"]
        frequency = spec["rope_theta"] ** (-2.0 * torch.arange(dim // 2, dtype=torch.float64) / dim)
        angle = torch.arange(spec["sequence"], dtype=torch.float32).unsqueeze(1) * frequency.float().repeat(2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        for block in self.model.layers:
            x = block(x, self.cos, self.sin)
        return F.linear(self.model.norm(x), self.model.embed_tokens.weight if spec["tied"] else self.lm_head.weight)


model = Decoder()
model.load_state_dict(load_file(os.path.join(args.dir, "weights.safetensors")), strict=True)
model.to(args.device)
assert sum(p.numel() for p in model.parameters()) == spec["parameters"]
matrices = [p for p in model.parameters() if p.dim() == 2]
norms = [p for p in model.parameters() if p.dim() == 1]  # as by their role: no decay
optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": spec["weight_decay"]}, {"params": norms, "weight_decay": 0.0}],
                              lr=spec["rates"][0], betas=(spec["beta1"], spec["beta2"]), eps=spec["epsilon"], fused=True)
ids = np.fromfile(os.path.join(args.dir, "batches.bin"), dtype=np.int32).reshape(-1, spec["samples"], spec["sequence"] + 1)
ids = torch.from_numpy(ids.astype(np.int64))
batches = [(b[:, :-1].contiguous().to(args.device), b[:, 1:].contiguous().to(args.device)) for b in ids]
steps = 0
pinned = []


def loss_of(tokens, targets):
    if args.device != "cpu":
        with torch.autocast(args.device, dtype=torch.bfloat16):
            logits = model(tokens)
        return F.cross_entropy(logits.float().view(-1, spec["vocab"]), targets.view(-1))
    return F.cross_entropy(model(tokens).view(-1, spec["vocab"]), targets.view(-1))


if args.compile:
    loss_of = torch.compile(loss_of, mode=args.compile)


def clip_to(norm):
    """clip_grad_norm_ with a norm that was told."""
    torch.nn.utils.clip_grads_with_norm_(model.parameters(), clip, torch.tensor(norm))


def step():
    global steps
    tokens, targets = batches[steps % len(batches)]
    for group in optimizer.param_groups:
        group["lr"] = spec["rates"][steps % len(spec["rates"])]
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of(tokens, targets)
    loss.backward()
    norm = 0.0
    if pinned:
        norm = pinned.pop(0)
        clip_to(norm)
    elif clip > 0:
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    steps += 1
    return loss.item(), float(norm)


def run(count):
    losses, norms, times = [], [], []
    for _ in range(count):
        begin = time.perf_counter()
        loss, norm = step()
        times.append((time.perf_counter() - begin) * 1e3)
        losses.append(loss)
        norms.append(norm)
    return {"ms": times, "losses": losses, "norms": norms}


def allocations(count):
    """The calls of malloc, free and mmap that each of `count` steps makes, counted by the preloaded allocations.cpp."""
    counts = []
    now = (ctypes.c_int64 * 3)()
    for _ in range(count + 1):
        ctypes.CDLL(None).bench_allocations(now)
        counts.append(list(now))
        step()
    return {name: [b[i] - a[i] for a, b in zip(counts, counts[1:])] for i, name in enumerate(("allocated", "freed", "mapped"))}


def product():
    """GFLOP/s of a square product of side 1024, best of ten: whether two processes have the same BLAS."""
    n = 1024
    a, b, c = torch.full((n, n), 0.5), torch.full((n, n), 0.25), torch.empty(n, n)
    times = []
    for _ in range(12):
        begin = time.perf_counter()
        torch.mm(a, b, out=c)
        times.append(time.perf_counter() - begin)
    return {"gflops": 2e-9 * n**3 / min(times[2:])}


def peak_megabytes():
    if args.device != "cpu":
        return torch.cuda.max_memory_allocated() / 1048576
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


def answer(what):
    print(json.dumps(what), flush=True)


blas = "MKL" if torch.backends.mkl.is_available() else "not MKL"
answer({"ready": "compile " + args.compile if args.compile else "eager", "version": "torch " + torch.__version__, "python": sys.version.split()[0], "blas": blas,
        "isa": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(), "start_ms": (time.perf_counter() - start) * 1e3})
for line in sys.stdin:
    order = line.split()
    if order[0] == "run":
        answer(run(int(order[1])))
    elif order[0] == "pinned":
        with open(os.path.join(args.dir, "norms.json")) as file:
            pinned = json.load(file)[steps:]
        answer(run(int(order[1])))
        pinned = []
    elif order[0] == "allocations":
        answer(allocations(int(order[1])))
    elif order[0] == "product":
        answer(product())
    elif order[0] == "stats":
        answer({"peak_mb": peak_megabytes()})
    elif order[0] == "quit":
        break
    else:
        sys.exit(f"'{line.strip()}' is no order; there are run N, pinned N, allocations N, product, stats, quit")
