"""greedy.py DIRECTORY PROMPT TOKENS JSON: transformers, decoding with a cache, continues PROMPT with TOKENS greedy tokens, and their text
is that of JSON, which `./tenon generate --json` has printed."""
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

directory, prompt, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(sys.argv[4]) as f:
    ours = json.load(f)
model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True).eval()
tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
with torch.no_grad():
    made = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count, use_cache=True)[0]
    logits = model(made[None], use_cache=False).logits[0, ids.shape[1] - 1:-1].sort(dim=-1).values
new = made[ids.shape[1]:]
margin = (logits[:, -1] - logits[:, -2]).min().item()
theirs = tokenizer.decode(new, skip_special_tokens=True)
print(f"{len(new)} greedy tokens, the two best logits at least {margin:.1e} apart: {'identical' if theirs == ours['text'] else 'different'}")
if theirs != ours["text"]:
    print(f"transformers: {theirs!r}\ntenon:        {ours['text']!r}")
sys.exit(0 if theirs == ours["text"] and len(new) == ours["tokens"] else 1)
