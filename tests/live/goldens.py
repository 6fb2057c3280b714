"""goldens.py COMMITTED: makes the golden files anew and compares them with the committed ones. Exit code 1 and one sentence
for each tensor that differs: integers exactly; reals within 1e-6 of themselves, or of the tensor's largest value."""
import os
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

TOLERANCE = 1e-6


def differences(committed, fresh):
    wrong = []
    names = [{n for n in os.listdir(d) if n.endswith(".safetensors")} for d in (committed, fresh)]
    for name in sorted(names[0] ^ names[1]):
        wrong.append(f"{name} is only among the {'committed' if name in names[0] else 'fresh'} files")
    for name in sorted(names[0] & names[1]):
        old, new = load_file(os.path.join(committed, name)), load_file(os.path.join(fresh, name))
        for key in sorted(old.keys() ^ new.keys()):
            wrong.append(f"{name}: '{key}' is only in the {'committed' if key in old else 'fresh'} file")
        for key in sorted(old.keys() & new.keys()):
            a, b = old[key], new[key]
            if a.dtype != b.dtype or a.shape != b.shape:
                wrong.append(f"{name}: '{key}' was {a.dtype}{list(a.shape)} and is {b.dtype}{list(b.shape)}")
            elif a.dtype.kind in "iu":
                if not np.array_equal(a, b):
                    wrong.append(f"{name}: '{key}' holds other integers")
            else:
                x, y = a.astype(np.float64), b.astype(np.float64)
                off = np.abs(x - y) / max(np.abs(x).max(initial=0.0), np.finfo(np.float64).tiny)
                if not np.all(off <= TOLERANCE):
                    wrong.append(f"{name}: '{key}' differs by {off.max():.1e} of its largest value")
    return wrong, sum(len(load_file(os.path.join(committed, n))) for n in names[0])


if __name__ == "__main__":
    committed = sys.argv[1]
    with tempfile.TemporaryDirectory() as fresh:
        subprocess.run([sys.executable, os.path.join(committed, "make_goldens.py"), fresh], check=True)
        wrong, count = differences(committed, fresh)
    for sentence in wrong:
        print(sentence)
    print(f"{count} tensors compared, {len(wrong)} differences")
    sys.exit(1 if wrong or count == 0 else 0)
