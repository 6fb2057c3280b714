"""Golden files of adapters: what `peft` makes of the models of parity.py. Adapters and weights are computed from names and indices by
both sides (parity.values, times 1/4 for adapters), so the file holds tokens, labels, logits, loss and the adapters' whole gradients.

`python lora.py DIRECTORY` writes the files anew (they are part of make_goldens.py)."""
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file

import parity

RANK, ALPHA = 4, 6
TARGETS = {"dense": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
           # peft takes the names of feed-forward matrices for those of transformers' fused experts, which tenon does not adapt
           "v3": ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]}


def case(name, kind):
    """Logits, loss, and the gradient of each adapter."""
    from peft import LoraConfig, get_peft_model

    model = parity.build(*parity.MODELS[name]).eval()
    salt = 1
    parity.fill(model, salt)
    adapted = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=TARGETS[kind], bias="none", task_type="CAUSAL_LM")).eval()
    own = lambda n: n.removeprefix("base_model.model.").replace(".default.", ".")
    trained = {own(n): p for n, p in adapted.named_parameters() if p.requires_grad}
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


FILES = {"lora_dense": lambda: case("dense_1", "dense"), "lora_v3": lambda: case("v3_4", "v3")}

if __name__ == "__main__":
    for name, make in FILES.items():
        save_file({k: np.ascontiguousarray(v) for k, v in make().items()}, os.path.join(sys.argv[1], name + ".safetensors"))
