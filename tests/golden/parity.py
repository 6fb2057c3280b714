"""Golden files of the DeepSeek family, made by make_goldens.py: rotary tables, and tiny models of transformers.

A model's weights are not stored: both sides compute them from the tensor's name and the element's index (`values`; in C++
tests/models/parity.hpp), exactly, in fp32. Of each gradient the file holds the Euclidean norm and four sums with signs, which a
wrong gradient does not keep; with `full` it holds the gradient itself. `python parity.py
DIRECTORY` writes such files of all models (./tenon test --live parity); `python parity.py DIRECTORY matrix` of the product of all
choices, and `python parity.py DIRECTORY exported PREFIX` loads what tenon has written there.
"""
import itertools
import math
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.modeling_layers import MtpModel
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

YARN = {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 4096, "beta_fast": 32, "beta_slow": 1}
ROPES = {  # width of a head, base, parameters
    "linear": (64, 10000.0, {"rope_type": "linear", "factor": 4.0}),
    "llama3": (128, 500000.0, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
    "yarn": (64, 10000.0, YARN),
    "yarn_mscale": (64, 10000.0, YARN | {"mscale": 0.707, "mscale_all_dim": 1.0}),
    "yarn_whole": (8, 10000.0, YARN | {"factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 4, "truncate": False}),
    "yarn_factor": (64, 10000.0, YARN | {"attention_factor": 1.25}),
}


def rope():
    """Frequencies and the tables' factor, by transformers' own functions."""
    out = {}
    for name, (dim, theta, parameters) in ROPES.items():
        config = LlamaConfig(hidden_size=dim * 2, num_attention_heads=2, head_dim=dim, max_position_embeddings=163840,
                             rope_parameters=parameters | {"rope_theta": theta})
        frequency, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu")
        out[name + ".frequency"] = frequency.numpy().astype(np.float32)
        out[name + ".factor"] = np.array([factor], np.float64)
    return out


def mixed(name, n, salt):
    """n numbers of 24 bits, a function of (name, salt, index): FNV-1a, then a multiply-and-shift mixer."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 & 0xFFFFFFFF
    x = np.arange(n, dtype=np.uint64)
    x = (x * 2654435761 + h + salt * 40503) & 0xFFFFFFFF
    for shift, factor in ((16, 2246822507), (13, 3266489909)):
        x ^= x >> shift
        x = x * factor & 0xFFFFFFFF
    return ((x ^ x >> 16) >> 8).astype(np.int64)


def values(name, shape, salt):
    """The weights of a tensor: norms 1 +- 1/4, a router's bias +- 1/4, the embedding +- 1, all else +- 1/2."""
    f = mixed(name, int(np.prod(shape)), salt).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    scale, centre = (0.25, 1) if "norm" in name else (0.25, 0) if "bias" in name else (1.0, 0) if "embed" in name else (0.5, 0)
    return (f * np.float32(scale) + np.float32(centre)).reshape(shape)


def trained(module):
    """Parameters and routers' biases by name."""
    return dict(module.named_parameters()) | {n: b for n, b in module.named_buffers() if n.endswith("e_score_correction_bias")}


def tensors(model, further=None):
    """name on disk -> (parameter, index of the expert or None, rows of it or None): experts are fused in memory. `further`:
    transformers' MtpModel, whose layers lie behind the model's own and share its embedding and head."""
    out = {}
    state = trained(model)
    layers = model.config.num_hidden_layers
    for k, layer in enumerate(further.layers if further else ()):
        for name, p in trained(layer).items():
            state[f"model.layers.{layers + k}." + name.replace("mtp_block.", "").replace("post_norm", "shared_head.norm")] = p
    for name, p in state.items():
        if name.endswith("experts.gate_up_proj"):
            inner = p.shape[1] // 2
            for e in range(p.shape[0]):
                out[name.replace("gate_up_proj", f"{e}.gate_proj.weight")] = (p, e, slice(0, inner))
                out[name.replace("gate_up_proj", f"{e}.up_proj.weight")] = (p, e, slice(inner, 2 * inner))
        elif name.endswith("experts.down_proj"):
            for e in range(p.shape[0]):
                out[name.replace("down_proj", f"{e}.down_proj.weight")] = (p, e, slice(None))
        else:
            out[name] = (p, None, None)
    return out


def part(t, expert, rows):
    return t if expert is None else t[expert][rows]


# One model: architecture, query compression, groups, dense blocks, tied, rope, and what else differs from the usual.
ROPE = {
    "none": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 2.0},
    "llama3": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
    "yarn_plain": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32, "beta_slow": 1},
}
MODELS = {
    "v3_1": ("v3", 24, 4, 1, False, "yarn", {}),
    "v3_2": ("v3", 0, 1, 0, True, "none", {}),
    "v3_3": ("v3", 0, 4, 0, False, "llama3", {"norm_topk_prob": False}),
    "v3_4": ("v3", 24, 1, 1, True, "llama3", {}),
    "v3_5": ("v3", 24, 4, 1, False, "yarn", {"num_mtp_layers": 1}),
    "v3_6": ("v3", 0, 1, 0, True, "none", {"num_mtp_layers": 2}),
    "v2_1": ("v2", 24, 1, 0, False, "llama3", {"n_shared_experts": 2}),
    "v2_2": ("v2", 0, 4, 1, True, "yarn", {}),
    "v2_3": ("v2", 24, 4, 0, True, "none", {}),
    "v2_4": ("v2", 0, 1, 1, False, "none", {}),
    "v2_5": ("v2", 24, 1, 0, False, "yarn_plain", {}),
    "dense_1": ("dense", 2, None, None, False, "linear", {}),  # in place of the query's rank: key and value heads
    "dense_2": ("dense", 1, None, None, True, "llama3", {}),
    "dense_3": ("dense", 4, None, None, False, "yarn_plain", {}),
}
LEVELS = (("v2", "v3"), (0, 24), (1, 4), (0, 1), (False, True), ("none", "llama3", "yarn"))
MATRIX = {"_".join(str(int(x) if isinstance(x, bool) else x) for x in row): (*row, {}) for row in itertools.product(*LEVELS)} | {
    f"dense_{kv}_{int(tied)}_{rope}": ("dense", kv, None, None, tied, rope if rope != "yarn" else "yarn_plain", {})
    for kv, tied, rope in itertools.product((1, 4), (False, True), ("none", "llama3", "yarn"))}


def check_covering():
    """Every pair of choices of two different questions occurs in some model of V2 or V3."""
    rows = [[r[0], r[1], r[2], r[3], r[4], r[5].replace("_plain", "")] for r in MODELS.values() if r[0] != "dense"]
    for i, j in itertools.combinations(range(len(LEVELS)), 2):
        for pair in itertools.product(LEVELS[i], LEVELS[j]):
            assert any((r[i], r[j]) == pair for r in rows), f"no model has {pair}"


def build(kind, rank, groups, dense, tied, rope_name, more):
    common = dict(vocab_size=48, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, max_position_embeddings=128,
                  rms_norm_eps=1e-5, tie_word_embeddings=tied, rope_parameters=ROPE[rope_name] | {"rope_theta": 10000.0},
                  attention_bias=False, hidden_act="silu", bos_token_id=None, eos_token_id=None, pad_token_id=None, attn_implementation="eager")
    if kind == "dense":
        return LlamaForCausalLM(LlamaConfig(num_key_value_heads=rank, mlp_bias=False, **common)).float()
    latent = dict(num_key_value_heads=4, q_lora_rank=rank or None, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12,
                  moe_intermediate_size=12, n_routed_experts=8, num_experts_per_tok=3, n_group=groups, topk_group=1 if groups == 1 else 2,
                  first_k_dense_replace=dense, n_shared_experts=1)
    if kind == "v2":
        config = DeepseekV2Config(**common, **(latent | dict(routed_scaling_factor=1.5, topk_method="greedy" if groups == 1 else "group_limited_greedy") | more))
        return DeepseekV2ForCausalLM(config).float()
    return DeepseekV3ForCausalLM(DeepseekV3Config(**common, **(latent | dict(routed_scaling_factor=2.5, norm_topk_prob=True) | more))).float()


def further_losses(model, further, hidden, tokens, targets):
    """Sums of the losses of multi-token prediction, module by module, from equations 21 to 24 of DeepSeek-V3's report (in the order
    of the published weights: embedding first), and the same by transformers' MtpLayer. hidden: behind the model's last norm;
    targets -100: none. [samples, rows]"""
    rows = tokens.shape[1]
    mask = torch.full((rows, rows), torch.finfo(torch.float32).min).triu(1)[None, None]
    angles, sums = model.model.rotary_emb(hidden, torch.arange(rows)[None]), []
    for layer in further.layers:
        tokens = torch.cat([tokens[:, 1:], tokens[:, -1:]], 1)
        targets = torch.cat([targets[:, 1:], torch.full_like(targets[:, :1], -100)], 1)
        embedded = model.model.embed_tokens(tokens)
        theirs = layer(embedded, hidden, angles, mask, None, None)
        joined = torch.cat([layer.enorm(embedded), layer.hnorm(hidden)], -1) @ layer.eh_proj.weight.T
        hidden = layer.post_norm(layer.mtp_block(joined, attention_mask=mask, position_embeddings=angles))
        if (hidden - theirs).abs().max() > 1e-5 * hidden.abs().max():
            sys.exit("transformers' MtpLayer does not compute the report's equations")
        sums.append(torch.nn.functional.cross_entropy(model.lm_head(hidden).flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"))
    return sums


MTP_WEIGHT = 0.3


def with_further(model, further, loss, tokens, targets):
    """The loss with lambda times the mean of the modules' losses (equation 25), each divided as the model's own (equation 24);
    and that mean."""
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state
    sums = further_losses(model, further, hidden, tokens, targets)
    mean = sum(sums) / (len(sums) * (targets >= 0).sum())
    return loss + MTP_WEIGHT * mean, mean


def fill(model, salt, further=None):
    with torch.no_grad():
        for name, (p, expert, rows) in tensors(model, further).items():
            to = part(p, expert, rows)
            to.copy_(torch.from_numpy(values(name, tuple(to.shape), salt)))


def signs(name, n):
    """Four vectors of +-1."""
    return np.stack([1.0 - 2.0 * (mixed(name, n, 1000 + i) & 1) for i in range(4)])


def case(row, full=False):
    """Logits, loss, gradients and 64 greedy tokens of one model. The salt of the weights is the first whose greedy text does not
    hang on rounding."""
    model = build(*row).eval()
    further = MtpModel(model, row[6]["num_mtp_layers"]).eval() if "num_mtp_layers" in row[6] else None
    for salt in range(1, 100):
        fill(model, salt, further)
        prompt = torch.from_numpy(mixed("prompt", 8, salt) % 48)[None]
        greedy = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=64)[0, 8:]
        logits = model(input_ids=torch.cat([prompt[0], greedy])[None], use_cache=False).logits[0, 7:-1].sort(dim=-1).values
        if len(greedy) == 64 and (logits[:, -1] - logits[:, -2]).min().item() > 2e-3:
            break
    else:
        sys.exit(f"no salt gives {row} a greedy text with clear margins")
    tokens = torch.from_numpy(mixed("tokens", 48, salt) % 48).reshape(2, 24)
    labels = torch.where(torch.from_numpy(mixed("labels", 48, salt) % 5 == 0).reshape(2, 24), torch.tensor(-100), tokens)
    result = model(input_ids=tokens, labels=labels, use_cache=False)
    total, mean = result.loss, None
    if further:
        total, mean = with_further(model, further, total, tokens, torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], -100)], 1))
    total.backward()
    out = {"salt": np.array([salt], np.int64), "prompt": prompt[0].numpy(), "greedy": greedy.numpy().astype(np.int64),
           "tokens": tokens.numpy(), "labels": labels.numpy(), "loss": np.array([result.loss.item()], np.float64),
           "logits": result.logits.detach().numpy().astype(np.float32)}
    if further:
        out["further"] = np.array([mean.item()], np.float64)
    for name, (p, expert, rows) in tensors(model, further).items():
        if p.grad is None:
            out["state/" + name] = np.array(p.shape, np.int64)
            continue
        g = part(p.grad, expert, rows).numpy().astype(np.float64).ravel()
        out["gradient/" + name] = np.concatenate([[np.linalg.norm(g)], signs(name, g.size) @ g])
        if full:
            out["full/" + name] = g
    return out


def warmup_cosine(step, total, peak, warmup, floor):
    """The rate of 0-based `step`: update number `warmup` has the peak, the last update floor * peak."""
    n = step + 1
    if n <= warmup:
        return peak * n / warmup
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (n - warmup) / (total - warmup))))


def balance(scores, chosen, count, samples, weights):
    """Balance losses of one block, straight from the papers' sums (DeepSeek-V2, section 2.2.3; V3, equations 17 to 20), mean over
    sequences. scores [rows, experts], chosen [rows, k], weights (expert, device, exchange); `count` groups stand for devices."""
    rows, experts = scores.shape
    length, k, total = rows // samples, chosen.shape[1], 0
    for s in range(samples):
        own, picked = scores[s * length : (s + 1) * length], chosen[s * length : (s + 1) * length]
        hits = torch.zeros(length, experts).scatter_(1, picked, 1.0)
        f = hits.sum(0) * experts / (k * length)
        p = own.mean(0)
        loss = weights[0] * (f * p).sum()
        if count > 1:
            device = hits.reshape(length, count, -1).amax(-1)  # whether a row sends anything to the device
            p_device = p.reshape(count, -1).sum(-1)
            loss = loss + weights[1] * (f.reshape(count, -1).mean(-1) * p_device).sum()
            loss = loss + weights[2] * (device.sum(0) * count / (2 * length) * p_device).sum()  # two groups are chosen
        total = total + loss
    return total / samples


def train(kind, steps, peak=2e-3):
    """Losses and gradient norms of a loop over transformers' model: AdamW, clipping at 1, warm-up and cosine; for V2 and V3 the
    balance losses, for V3 a module of multi-token prediction, and the bias of the routers moved against the load once a step."""
    further = None
    common = dict(vocab_size=272, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=32,
                  rms_norm_eps=1e-6, tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
                  attention_bias=False, hidden_act="silu", bos_token_id=None, eos_token_id=None, pad_token_id=None, attn_implementation="eager")
    if kind == "dense":
        model = LlamaForCausalLM(LlamaConfig(num_key_value_heads=2, mlp_bias=False, **common)).float()
    else:
        latent = dict(num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=12,
                      moe_intermediate_size=12, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2, n_shared_experts=1)
        if kind == "v2":
            model = DeepseekV2ForCausalLM(DeepseekV2Config(**common, **latent, first_k_dense_replace=0, routed_scaling_factor=1.0, topk_method="group_limited_greedy")).float()
        else:
            model = DeepseekV3ForCausalLM(DeepseekV3Config(**common, **latent, first_k_dense_replace=1, routed_scaling_factor=2.5, norm_topk_prob=True)).float()
            further = MtpModel(model, 1)
    fill(model, 1, further)
    parts = {name: p for name, (p, _, _) in tensors(model, further).items()}  # of fused experts the same one several times
    parameters = {id(p): (name, p) for name, p in parts.items() if p.requires_grad}.values()
    with torch.no_grad():
        for _, p in parameters:
            p.copy_(1 + (p - 1) * 0.25 if p.dim() == 1 else p * 0.25)
        for b in (p for n, p in parts.items() if n.endswith("e_score_correction_bias")):
            b.mul_(0.25)
    seen = []
    for module in [*model.modules(), *(further.layers.modules() if further else ())]:
        if type(module).__name__.endswith("TopkRouter"):
            module.register_forward_hook(lambda m, i, o: seen.append((m, o[0], o[2])))
    decayed = [p for n, p in parameters if "norm" not in n]
    undecayed = [p for n, p in parameters if "norm" in n]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": undecayed, "weight_decay": 0.0}], lr=1.0, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    out = {"loss": [], "norm": [], "balance": [], "further": []}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, steps, peak, 5, 0.1)
        tokens = torch.from_numpy(mixed("batch", 64, step) % 32)
        targets = torch.where(torch.from_numpy(mixed("mask", 64, step) % 8 == 0), torch.tensor(-100), (tokens * 5 + 1) % 32)
        seen.clear()
        hidden = model.model(input_ids=tokens.reshape(4, 16), use_cache=False).last_hidden_state
        loss = torch.nn.functional.cross_entropy(model.lm_head(hidden).reshape(64, -1), targets, ignore_index=-100)
        extra = mean = torch.zeros(())
        if further:
            mean = further_losses(model, further, hidden, tokens.reshape(4, 16), targets.reshape(4, 16))[0] / (targets >= 0).sum()
            del seen[-1]  # the module was run twice: by the equations, and by MtpLayer
        for _, routed, chosen in seen:
            if kind == "v3":  # shares of sigmoid scores; the best of the unbiased scores count
                scores = routed.sigmoid()
                extra = extra + balance(scores / scores.sum(-1, keepdim=True), scores.topk(2, dim=-1).indices, 1, 4, (0.01, 0, 0))
            else:
                extra = extra + balance(routed.softmax(-1), chosen, 4, 4, (0.003, 0.05, 0.02))
        optimizer.zero_grad()
        (loss + MTP_WEIGHT * mean + extra).backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in parameters], 1.0)
        optimizer.step()
        with torch.no_grad():
            for module, _, chosen in seen if kind == "v3" else ():
                count = torch.bincount(chosen.reshape(-1), minlength=8).float()
                move = 0.01 * torch.sign(count.mean() - count)
                module.e_score_correction_bias += move
        for key, value in (("loss", loss), ("norm", norm), ("balance", extra), ("further", mean)):
            out[key].append(value.item())
    out = {key: np.array(value, np.float64) for key, value in out.items()}
    for name, b in parts.items():
        if name.endswith("e_score_correction_bias"):
            out["bias/" + name] = b.numpy().astype(np.float32)
    return out


def check_halves():
    """The rule by which tenon reads `rope_interleave = false`: rotated rows j and half + j are neighbours of the same model."""
    row = MODELS["v3_1"]
    pairs, halves = build(*row).eval(), build(*row[:6], {"rope_interleave": False}).eval()
    fill(pairs, 1), fill(halves, 1)
    with torch.no_grad():
        for name, p in halves.named_parameters():
            if name.endswith(("q_b_proj.weight", "kv_a_proj_with_mqa.weight")):
                group = 16 if "q_b" in name else p.shape[0]
                for first in range(group - 8, p.shape[0], group):
                    rows = p[first : first + 8].clone()  # as neighbours
                    p[first : first + 8] = torch.cat([rows[0::2], rows[1::2]])
        tokens = torch.arange(48)[None]
        assert (pairs(input_ids=tokens).logits - halves(input_ids=tokens).logits).abs().max() < 1e-5


check_covering(), check_halves()
FILES = {"rope": rope} | {"parity_" + name: (lambda row=row: case(row)) for name, row in MODELS.items()} | {
    "train_dense": lambda: train("dense", 200), "train_v2": lambda: train("v2", 20), "train_v3": lambda: train("v3", 20)}


def exported(directory, prefix):
    """Each model that tenon has written to DIRECTORY/PREFIX... is loaded, and has the logits of the model that transformers made."""
    worst, count = 0.0, 0
    for name in sorted(n for n in os.listdir(directory) if n.startswith(prefix) and os.path.isdir(os.path.join(directory, n))):
        model, info = AutoModelForCausalLM.from_pretrained(os.path.join(directory, name), output_loading_info=True, dtype=torch.float32,
                                                           attn_implementation="eager", local_files_only=True)
        if any(info.get(what) for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
            sys.exit(f"{name}: transformers reports {info}")
        golden = load_file(os.path.join(directory, f"parity_{name}.safetensors"))
        with torch.no_grad():
            logits = model.eval()(input_ids=torch.from_numpy(golden["tokens"]), use_cache=False).logits.numpy()
        worst, count = max(worst, float(np.abs(logits - golden["logits"]).max())), count + 1
    print(f"{count} exported models loaded by transformers, worst difference of a logit {worst:.1e}")
    sys.exit(0 if count and worst <= 1e-6 else 1)


if __name__ == "__main__":
    if sys.argv[2:3] == ["exported"]:
        exported(sys.argv[1], sys.argv[3])
    for name, row in (MATRIX if sys.argv[2:3] == ["matrix"] else MODELS).items():
        save_file({k: np.ascontiguousarray(v) for k, v in case(row, full=True).items()}, os.path.join(sys.argv[1], f"parity_{name}.safetensors"))
