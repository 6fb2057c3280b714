"""transformers_loss.py DIRECTORY: transformers' LlamaForCausalLM from DIRECTORY's config.json and model.safetensors must have
every weight it wants and no other, and on the rows of batch.json the loss that is written there, within 1e-5."""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import LlamaForCausalLM

directory = sys.argv[1]
model, info = LlamaForCausalLM.from_pretrained(directory, output_loading_info=True, dtype=torch.float32, local_files_only=True)
for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
    if info.get(what):
        sys.exit(f"transformers reports {what}: {info[what]}")
model.eval()

with open(os.path.join(directory, "batch.json")) as f:
    batch = json.load(f)
shape = batch["samples"], batch["sequence"]
tokens, targets = (torch.tensor(batch[k]).reshape(shape) for k in ("tokens", "targets"))
with torch.no_grad():
    logits = model(input_ids=tokens, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=-1).item()
print(f"loss by transformers {loss:.7f}, by tenon {batch['loss']:.7f}, difference {abs(loss - batch['loss']):.1e}")
sys.exit(0 if abs(loss - batch["loss"]) <= 1e-5 else 1)
