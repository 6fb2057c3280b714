"""goldens_self_test.py COMMITTED: the comparison of goldens.py must see each kind of difference, and none where there is none."""
import os
import shutil
import sys
import tempfile

import numpy as np
from goldens import differences
from safetensors.numpy import load_file, save_file

committed = sys.argv[1]


def seen(change):
    with tempfile.TemporaryDirectory() as other:
        for name in os.listdir(committed):
            if name.endswith(".safetensors"):
                shutil.copy(os.path.join(committed, name), other)
        path = os.path.join(other, "llama_tied.safetensors")
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)
        return len(differences(committed, other)[0])


def add(name, amount):
    def change(t):
        t[name] = t[name].copy()
        t[name].flat[-1] += amount
    return change


wrong = [what for what, have, want in [
    ("nothing", seen(lambda t: None), 0),
    ("rounding", seen(add("loss", 1e-7)), 0),
    ("a real", seen(add("logits", 1e-3)), 1),
    ("a NaN", seen(add("logits", np.nan)), 1),
    ("an integer", seen(add("greedy", 1)), 1),
    ("a missing tensor", seen(lambda t: t.pop("loss")), 1),
    ("another dtype", seen(lambda t: t.update(loss=t["loss"].astype(np.float32))), 1),
] if have != want]
sys.exit(f"not told apart: {', '.join(wrong)}" if wrong else 0)
