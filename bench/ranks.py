#!/usr/bin/env python3
"""The quickstart on one rank and on several of this machine, beside each other: losses of each step, tokens/s of both, how
much of the exchange was hidden.

    ranks.py --tenon PATH --dir DIR [--ranks N] [--steps N]

Both runs see the same samples in the same order, so their losses differ by rounding alone; more than 1e-4 is an error.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys


def train(tenon, place, options):
    shutil.rmtree(place, ignore_errors=True)
    done = subprocess.run([tenon, "train", "--run", place, *options], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: ./tenon train {' '.join(options)} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    with open(os.path.join(place, "log.jsonl")) as log:
        events = [json.loads(line) for line in log]
    steps = [e["tenon"] for e in events if "loss" in e.get("tenon", {})]
    exchange = [line for line in done.stdout.splitlines() if line.startswith("exchange ")]
    return steps, exchange[0] if exchange else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenon", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args()
    length = ["--steps", str(args.steps)]
    one, _ = train(args.tenon, os.path.join(args.dir, "one"), length)
    many, exchange = train(args.tenon, os.path.join(args.dir, "ranks"), [*length, "--ranks", str(args.ranks)])
    print(f"| step | loss on 1 rank | loss on {args.ranks} ranks | apart |\n| --- | --- | --- | --- |")
    apart = 0.0
    for a, b in zip(one, many):
        apart = max(apart, abs(a["loss"] - b["loss"]))
        print(f"| {a['step']} | {a['loss']:.6f} | {b['loss']:.6f} | {abs(a['loss'] - b['loss']):.1e} |")

    def rate(steps):  # without the first steps, in which caches and connections fill
        return statistics.median(s["tokens_per_sec"] for s in steps[min(5, len(steps) - 1):])

    print(f"\ntokens/s, median: {rate(one):.0f} on 1 rank, {rate(many):.0f} on {args.ranks}, which share this machine's {len(os.sched_getaffinity(0))} cores\n{exchange}")
    if len(one) != args.steps or len(many) != args.steps or apart > 1e-4:
        sys.exit(f"error: {len(one)} and {len(many)} steps of {args.steps}, losses up to {apart:.1e} apart")


if __name__ == "__main__":
    main()
