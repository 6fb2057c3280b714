#!/usr/bin/env python3
"""The training step with each matrix product that can be had here, in turns: tenon's own, and the library's over LibTorch's
BLAS, OpenBLAS and BLIS. A product is worth what a whole step says of it, so that is what is timed.

    gemm.py --program own=PATH --program torch=PATH ... [--workloads w1,w1b] [--rounds N] [--seconds S] --out FILE

FILE takes one line for each product, name=milliseconds (the geometric mean of the workloads' medians), which ./tenon doctor reads.
"""
import argparse
import math
import os
import statistics

from harness import Process, block, environment, times, warm_count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", action="append", required=True, metavar="NAME=PATH")
    parser.add_argument("--workloads", default="w1,w1b")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    args.bin, args.blas = os.path.dirname(os.path.abspath(args.out)), "mkl"  # logs go beside the result
    programs = dict(p.split("=", 1) for p in args.program)
    medians = {name: [] for name in programs}
    print("| workload | product | median ms | least ms | times tenon's own |\n| --- | --- | --- | --- | --- |")
    for workload in args.workloads.split(","):
        running = {}
        try:
            for name, path in programs.items():
                running[name] = Process(args, f"gemm-{name}", [path, workload, "--orders", "--threads", str(args.threads)], environment(args, 1))
            count = {name: warm_count(p, args.seconds) for name, p in running.items()}
            rounds = {name: [] for name in running}
            for index in range(args.rounds):  # there and back, so that a drift of the machine meets all alike
                for name in list(running) if index % 2 == 0 else reversed(list(running)):
                    rounds[name].append({"a": [block(running[name], count[name])]})
        finally:
            for p in running.values():
                p.quit()
        for name in programs:
            ms = times(rounds[name], "a")
            medians[name].append(statistics.median(ms))
            print(f"| {workload} | {name} | {medians[name][-1]:.2f} | {min(ms):.2f} | {medians[name][-1] / medians['own'][-1]:.3f} |", flush=True)
    with open(args.out, "w") as out:
        for name, ms in medians.items():
            out.write(f"{name}={math.exp(statistics.mean(map(math.log, ms))):.3f}\n")


if __name__ == "__main__":
    main()
