"""exported_loss.py DIRECTORY TEXT HELD_OUT_BYTES LOSS SEQUENCE [--mtp]: transformers loads DIRECTORY (config, weights, tokenizer), and its
loss on the last HELD_OUT_BYTES of TEXT, cut into samples of SEQUENCE rows as tenon cuts them, is LOSS within 1e-4. --mtp: the model has
modules of multi-token prediction, which transformers' MtpModel loads."""
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

directory, text, size, expected, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True, dtype=torch.float32, local_files_only=True)
layers, further = model.config.num_hidden_layers, getattr(model.config, "num_mtp_layers", 0) if "--mtp" in sys.argv else 0
info["unexpected_keys"] = [k for k in info["unexpected_keys"] if not any(k.startswith(f"model.layers.{layers + i}.") for i in range(further))]
for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
    if info.get(what):
        sys.exit(f"transformers reports {what}: {info[what]}")
model.eval()
if further:  # raises where a module's tensor is missing; transformers knows the layer of the published model alone by itself
    from transformers.modeling_layers import MtpModel
    model._keys_to_ignore_on_load_unexpected = [rf"model\.layers\.{layers + i}\..*" for i in range(further)]
    modules = MtpModel.from_pretrained(model)
    print(f"{len(modules.layers)} modules of multi-token prediction, {sum(p.numel() for p in modules.layers.parameters())} weights")
tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
end = model.generation_config.eos_token_id
if tokenizer.eos_token_id != end:
    sys.exit(f"the tokenizer's end of text is {tokenizer.eos_token_id}, the model's {end}")
with open(text, "rb") as f:
    held_out = f.read()[-size:].decode("utf-8")
ids = tokenizer(held_out, add_special_tokens=False)["input_ids"] + [end]
begin = tokenizer("")["input_ids"]  # what the tokenizer puts before a text; else a document begins with the end of the one before
inputs, targets = torch.tensor((begin or [end]) + ids[:-1]), torch.tensor(ids)
total = 0.0
with torch.no_grad():
    for first in range(0, len(ids), rows):  # a sample begins anew: no past, positions from 0
        logits = model(input_ids=inputs[None, first:first + rows], use_cache=False).logits[0]
        total += torch.nn.functional.cross_entropy(logits.double(), targets[first:first + rows], reduction="sum").item()
loss = total / len(ids)
print(f"loss by transformers {loss:.6f} over {len(ids)} tokens, by tenon {expected:.6f}, difference {abs(loss - expected):.1e}")
sys.exit(0 if abs(loss - expected) <= 1e-4 else 1)
