"""Writes the golden files of this directory: what torch and transformers compute, in a form small enough to keep.

    python make_goldens.py [DIRECTORY [NAME...]]     (needs torch, transformers, safetensors, numpy; downloads nothing)

`./tenon test --live` makes them anew and compares (tests/live). Inputs come from numpy's legacy generator, whose stream is
frozen, so that every version of torch sees the same numbers.
"""
import math
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import lora
import parity

torch.set_num_threads(1)
STEPS, DECAYED, UNDECAYED, CYCLE = 100, 211, 109, 10


def warmup_cosine(step, total, peak, warmup, floor):
    """The rate of 0-based `step`: update number `warmup` has the peak, the last update floor * peak."""
    n = step + 1
    if n <= warmup:
        return peak * n / warmup
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (n - warmup) / (total - warmup))))


def gradients(rng, size):
    """CYCLE gradients of widely unequal sizes, some so small that AdamW's epsilon counts; step t takes number t % CYCLE
    times 2 ** exponents[t]."""
    base = rng.randn(CYCLE, size) * 10.0 ** rng.uniform(-9, 1, size)
    return base.astype(np.float32), rng.randint(-4, 5, STEPS)


def optimizers():
    rng = np.random.RandomState(1)
    size = DECAYED + UNDECAYED
    start = rng.randn(size).astype(np.float32)
    base, exponents = gradients(rng, size)
    out = {"start": start, "gradients": base, "exponents": exponents.astype(np.int64)}
    rates = [warmup_cosine(t, STEPS, 1e-2, 10, 0.1) for t in range(STEPS)]
    out["rates"] = np.array(rates, np.float64)

    def run(name, make, keep, state, decoupled):
        parts = [torch.tensor(start[:DECAYED], requires_grad=True), torch.tensor(start[DECAYED:], requires_grad=True)]
        optimizer = make(parts)
        for t in range(STEPS):
            g = torch.from_numpy(base[t % CYCLE]) * 2.0 ** int(exponents[t])
            parts[0].grad, parts[1].grad = g[:DECAYED].clone(), g[DECAYED:].clone()
            for group in optimizer.param_groups:
                group["lr"] = rates[t]
            if decoupled:
                with torch.no_grad():
                    parts[0].mul_(1 - rates[t] * decoupled)
            optimizer.step()
            if t + 1 in keep:
                out[f"{name}.{t + 1}"] = torch.cat(parts).detach().numpy().copy()
        for s in state:
            out[f"{name}.{s}"] = torch.cat([optimizer.state[p][s] for p in parts]).numpy().copy()

    for name, beta2, decay in (("adamw", 0.95, 0.1), ("adamw999", 0.999, 0.01)):
        run(name, lambda p: torch.optim.AdamW([{"params": [p[0]], "weight_decay": decay}, {"params": [p[1]], "weight_decay": 0.0}],
                                              lr=1.0, betas=(0.9, beta2), eps=1e-8, foreach=False, fused=False),
            (1, 2, 10, 100), ("exp_avg", "exp_avg_sq"), 0)
    for name, momentum, nesterov, decoupled in (("plain", 0.0, False, 0), ("momentum", 0.9, False, 0), ("nesterov", 0.9, True, 0), ("decay", 0.9, True, 0.1)):
        run("sgd." + name, lambda p: torch.optim.SGD(p, lr=1.0, momentum=momentum, nesterov=nesterov, foreach=False, fused=False),
            (1, 2, 100), ("momentum_buffer",) if momentum else (), decoupled)
    return out


def grad_scaler():
    """Cases of torch.amp.GradScaler, step by step: which steps overflow, and scale and growth tracker after each."""
    rng = np.random.RandomState(2)
    random = [int(x) for x in rng.rand(200) < 0.1]
    cases = {  # initial scale, growth, backoff, interval, overflows
        "usual": (65536.0, 2.0, 0.5, 7, random),
        "thirds": (1000.0, 1.7, 0.3, 3, random),
        "every": (4.0, 2.0, 0.5, 1, [0, 1, 0, 0, 1, 1, 0]),
        "start": (2.0**24, 2.0, 0.5, 2000, [1] * 12 + [0] * 20),
        "ceiling": (2.0**120, 2.0, 0.5, 2, [0] * 40 + [1] * 3),
        "floor": (1.0, 2.0, 0.5, 5, [1] * 160),
    }
    out = {}
    for name, (initial, growth, backoff, interval, overflows) in cases.items():
        w = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=1.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=initial, growth_factor=growth, backoff_factor=backoff, growth_interval=interval)
        scaler.scale(torch.zeros(1))
        scales, trackers = [], []
        for overflow in overflows:
            w.grad = torch.full((3,), math.inf if overflow else 1.0)
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            trackers.append(scaler._get_growth_tracker())
        out[f"{name}.settings"] = np.array([initial, growth, backoff, interval], np.float64)
        out[f"{name}.overflows"] = np.array(overflows, np.int64)
        out[f"{name}.scale"] = np.array(scales, np.float64)
        out[f"{name}.tracker"] = np.array(trackers, np.int64)
    return out


def clipping():
    rng = np.random.RandomState(3)
    gradient = (rng.randn(300) * 10.0 ** rng.uniform(-3, 1, 300)).astype(np.float32)
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    limits = np.array([norm * f for f in (1e-3, 0.5, 0.999, 1.001, 10.0)] + [1.0], np.float64)
    out = {"gradient": gradient, "limits": limits}
    norms, clipped = [], []
    for limit in limits:
        p = torch.zeros(300, requires_grad=True)
        p.grad = torch.from_numpy(gradient.copy())
        norms.append(torch.nn.utils.clip_grad_norm_([p], float(limit)).item())
        clipped.append(p.grad.numpy().copy())
    out["norms"], out["clipped"] = np.array(norms, np.float64), np.stack(clipped)
    return out


def llama(tied, kv_heads, seed):
    """A tiny llama with random weights, each an exact fp16 value: logits, loss, every gradient, and sixteen greedy tokens."""
    config = LlamaConfig(vocab_size=48, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=kv_heads,
                         intermediate_size=24, max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=tied,
                         attention_bias=False, mlp_bias=False, hidden_act="silu", bos_token_id=None, eos_token_id=None, pad_token_id=None,
                         attn_implementation="eager")
    model = LlamaForCausalLM(config)
    rng = np.random.RandomState(seed)
    out = {}
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            value = 1 + 0.3 * rng.randn(*p.shape) if "norm" in name else 0.25 * rng.randn(*p.shape)
            out["weight/" + name] = value.astype(np.float16)
            p.copy_(torch.from_numpy(out["weight/" + name].astype(np.float32)))
    tokens = torch.from_numpy(rng.randint(0, 48, (2, 24)))
    labels = torch.where(torch.from_numpy(rng.rand(2, 24)) < 0.2, torch.tensor(-100), tokens)
    result = model(input_ids=tokens, labels=labels, use_cache=False)
    result.loss.backward()
    out["tokens"], out["labels"] = tokens.numpy().astype(np.int64), labels.numpy().astype(np.int64)
    out["logits"] = result.logits.detach().numpy().astype(np.float32)
    out["loss"] = np.array([result.loss.item()], np.float64)
    for name, p in model.named_parameters():
        out["gradient/" + name] = p.grad.numpy().astype(np.float32)

    prompt = tokens[:1, :8]
    greedy = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=16)[0, 8:]
    logits = model(input_ids=torch.cat([prompt[0], greedy])[None], use_cache=False).logits[0, 7:-1].sort(dim=-1).values
    margin = (logits[:, -1] - logits[:, -2]).min().item()
    if margin < 1e-3:
        sys.exit(f"two tokens are within {margin} of each other; the greedy text would hang on rounding: choose another seed")
    out["greedy"] = greedy.numpy().astype(np.int64)
    return out


def weights():
    """What torch makes of stored elements, as bits: every fp8 number, bf16 and fp16 ones, fp32 rounded to these, and an fp8 matrix
    with one scale for each block of 4 x 6."""
    rng = np.random.RandomState(6)
    bits = lambda t: t.contiguous().view({2: torch.int16, 4: torch.int32}[t.element_size()]).numpy().astype(np.int64)
    every = torch.arange(256).to(torch.uint8)
    half = torch.from_numpy(rng.randint(-32768, 32768, 500).astype(np.int16))
    wide = torch.from_numpy((rng.randn(500) * 10.0 ** rng.uniform(-6, 6, 500)).astype(np.float32))
    out = {"half": half.numpy().astype(np.int64), "wide": wide.numpy()}
    for name, dtype in (("e4m3", torch.float8_e4m3fn), ("e5m2", torch.float8_e5m2)):
        out[name] = bits(every.view(dtype).float())
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        out[name] = bits(half.view(dtype).float())
        out["to_" + name] = bits(wide.to(dtype))
    matrix = torch.from_numpy((rng.randn(10, 15) * 50).astype(np.float32)).to(torch.float8_e4m3fn)
    scale = torch.from_numpy(rng.uniform(0.01, 3, (3, 3)).astype(np.float32))
    spread = scale.repeat_interleave(4, 0)[:10].repeat_interleave(6, 1)[:, :15]
    out["block_matrix"], out["block_scale"] = matrix.view(torch.uint8).numpy().astype(np.int64), scale.numpy()
    out["block_product"] = (matrix.float() * spread).numpy()
    return out


SAMPLING = [  # temperature, top-k, top-p, repetition penalty
    (1.0, 0, 1.0, 1.0), (0.7, 0, 1.0, 1.0), (1.0, 5, 1.0, 1.0), (1.0, 0, 0.6, 1.0), (1.0, 0, 1.0, 1.7), (0.5, 12, 0.8, 1.2), (2.0, 3, 0.99, 0.8),
]


def sampling():
    """Next-token distributions by the processors of transformers' generate, for each line of SAMPLING."""
    from transformers.generation.logits_process import (LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                                                        TopKLogitsWarper, TopPLogitsWarper)
    rng = np.random.RandomState(7)
    logits = torch.from_numpy((3 * rng.randn(6, 40)).astype(np.float32))
    text = torch.from_numpy(rng.randint(0, 40, (6, 9)))
    out = {"logits": logits.numpy(), "text": text.numpy().astype(np.int64), "settings": np.array(SAMPLING, np.float64)}
    every = []
    for temperature, top_k, top_p, penalty in SAMPLING:
        steps = LogitsProcessorList()
        if penalty != 1.0:
            steps.append(RepetitionPenaltyLogitsProcessor(penalty))
        steps.append(TemperatureLogitsWarper(temperature))
        if top_k:
            steps.append(TopKLogitsWarper(top_k))
        if top_p < 1.0:
            steps.append(TopPLogitsWarper(top_p))
        every.append(torch.softmax(steps(text, logits.clone()).double(), -1).numpy())
    out["probabilities"] = np.stack(every)
    return out


FILES = {
    "optimizers": optimizers,
    "grad_scaler": grad_scaler,
    "clipping": clipping,
    "weights": weights,
    "sampling": sampling,
    "llama_untied": lambda: llama(tied=False, kv_heads=2, seed=4),
    "llama_tied": lambda: llama(tied=True, kv_heads=1, seed=5),
    **parity.FILES,
    **lora.FILES,
}

if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    only = sys.argv[2:]  # names of files; none: all
    for name, make in FILES.items():
        if only and name not in only:
            continue
        save_file({k: np.ascontiguousarray(v) for k, v in make().items()}, os.path.join(where, name + ".safetensors"))
