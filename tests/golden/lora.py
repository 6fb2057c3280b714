"""Golden files of adapters: what `peft` makes of the models of parity.py; and, where peft cannot adapt a matrix of transformers', what
autograd makes of W + alpha / rank B A in its place. Adapters and weights are computed from names and indices by
both sides (parity.values, times 1/4 for adapters), so the file holds tokens, labels, logits, loss and the adapters' whole gradients.

`python lora.py DIRECTORY` writes the files anew (they are part of make_goldens.py)."""
import os
import sys

import numpy as np
import torch
import torch.nn.utils.parametrize
from safetensors.numpy import save_file

import parity

RANK, ALPHA = 4, 6
TARGETS = {"dense": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
           # peft takes the names of feed-forward matrices for those of transformers' fused experts, which tenon does not adapt
           "v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]}


def by_peft(model, targets):
    """The model with peft's adapters, and these by the names that peft writes."""
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets, bias="none", task_type="CAUSAL_LM")).eval()
    own = lambda n: n.removeprefix("base_model.model.").replace(".default.", ".")
    return adapted, {own(n): p for n, p in adapted.named_parameters() if p.requires_grad}


class Sum(torch.nn.Module):
    """W + alpha / rank B A in the place of a weight W."""

    def __init__(self, rows, columns):
        super().__init__()
        self.A, self.B = torch.nn.Parameter(torch.empty(RANK, columns)), torch.nn.Parameter(torch.empty(rows, RANK))

    def forward(self, weight):
        return weight + ALPHA / RANK * (self.B @ self.A)


def by_hand(model, targets):
    """The same of torch's own parts; every linear layer of these names."""
    trained = {}
    model.requires_grad_(False)
    for name, m in list(model.named_modules()):
        if isinstance(m, torch.nn.Linear) and name.split(".")[-1] in targets:
            s = Sum(*m.weight.shape)
            torch.nn.utils.parametrize.register_parametrization(m, "weight", s, unsafe=True)
            trained |= {name + ".lora_A.weight": s.A, name + ".lora_B.weight": s.B}
    return model, trained


def case(name, adapt, targets):
    """Logits, loss, and the gradient of each adapter."""
    model = parity.build(*parity.MODELS[name]).eval()
    salt = 1
    parity.fill(model, salt)
    adapted, trained = adapt(model, targets)
    with torch.no_grad():
        for n, p in trained.items():
            p.copy_(torch.from_numpy(parity.values(n, tuple(p.shape), salt) * np.float32(0.25)))
    tokens = torch.from_numpy(parity.mixed("tokens", 48, salt) % 48).reshape(2, 24)
    labels = torch.where(torch.from_numpy(parity.mixed("labels", 48, salt) % 3 == 0).reshape(2, 24), torch.tensor(-100), tokens)
    result = adapted(input_ids=tokens, labels=labels, use_cache=False)
    result.loss.backward()
    out = {"tokens": tokens.numpy(), "labels": labels.numpy(), "loss": np.array([result.loss.item()], np.float64),
           "logits": result.logits.detach().numpy().astype(np.float32)}
    for n, p in trained.items():
        out["gradient/" + n] = p.grad.numpy().astype(np.float32)
    return out


def whole():
    """All matrices of V3 by hand, which of attention alone makes what peft makes."""
    peft, hand = (case("v3_4", adapt, TARGETS["v3"]) for adapt in (by_peft, by_hand))
    assert peft.keys() == hand.keys() and all(np.abs(peft[k] - hand[k]).max() <= 1e-5 * np.abs(peft[k]).max() for k in peft)
    return case("v3_4", by_hand, TARGETS["v3"] + TARGETS["dense"][-3:])


FILES = {"lora_dense": lambda: case("dense_1", by_peft, TARGETS["dense"]), "lora_v3": lambda: case("v3_4", by_peft, TARGETS["v3"]),
         "lora_v3_whole": whole}

if __name__ == "__main__":
    for name, make in FILES.items():
        save_file({k: np.ascontiguousarray(v) for k, v in make().items()}, os.path.join(sys.argv[1], name + ".safetensors"))
