#!/usr/bin/env python3
"""Stands in for a program of bench/: obeys its orders and says that a step takes a fixed time. Named as that program is."""
import json
import os
import sys

name = os.path.basename(sys.argv[0])
directory = sys.argv[sys.argv.index("--dir") + 1] if "--dir" in sys.argv else ""
wrong = name in os.environ.get("FAKE_WRONG", "").split(",")
if name in os.environ.get("FAKE_BROKEN", "").split(","):
    sys.exit("a sentence about what is broken")
if name == "bench_step" and directory:
    with open(os.path.join(directory, "spec.json"), "w") as file:
        json.dump({"parameters": 10, "samples": 2, "sequence": 5}, file)
print(json.dumps({"ready": name, "version": "1", "compiler": "c", "isa": "i", "blas": "MKL", "step_flops": 1e6, "planned_mb": 1.0, "bytes_per_token": 1e6}), flush=True)
milliseconds = 1.0 if name == "bench_step" else 2.0


def run(count):
    return {"ms": [milliseconds] * count, "losses": [2.0 + (1e-3 if wrong else 0)] * count, "norms": [1.0] * count}


for line in sys.stdin:
    order = line.split()
    if order[0] in ("run", "pinned"):
        answer = run(int(order[1]))
    elif order[0] == "allocations":
        answer = {key: [0] * int(order[1]) for key in ("allocated", "freed", "mapped")}
    elif order[0] == "product":
        answer = {"gflops": 10.0}
    elif order[0] == "stats":
        answer = {"peak_mb": 100.0}
    else:
        break
    print(json.dumps(answer), flush=True)
