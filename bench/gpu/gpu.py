#!/usr/bin/env python3
"""The training step on a GPU: tokens/s, share of the GPU's measured matrix product, memory; beside it PyTorch eager and
torch.compile on the same weights and rows, in turns.

    gpu.py --program PATH --dir DIR [--python PATH] [--shapes 124m,base] [--rounds N] [--steps N]

PyTorch computes in bf16 under autocast with fp32 masters, as tenon does. The losses of the first steps are compared.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


class Process:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {' '.join(self.process.args)} ended with {self.process.wait()} (its words are above)")
        return json.loads(line)

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.answer()

    def quit(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--python", help="a Python with torch for CUDA, numpy and safetensors; left out: tenon alone")
    parser.add_argument("--shapes", default="124m,base")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    peer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers", "torch_step.py")
    print("| shape | program | median ms | tokens/s | share of the product | peak MB | loss of step 10 |\n| --- | --- | --- | --- | --- | --- | --- |")
    for shape in args.shapes.split(","):
        place = os.path.join(args.dir, shape)
        running = {"tenon": Process([args.program, shape, "--dir", place])}
        facts = running["tenon"].facts
        rate = running["tenon"].order("product")["gflops"]
        if args.python:
            for name, options in (("PyTorch eager", []), ("torch.compile", ["--compile", "default"])):
                running[name] = Process([args.python, peer, place, "--device", "cuda", *options])
        losses = {name: p.order("run 10")["losses"] for name, p in running.items()}  # and the warm-up
        times = {name: [] for name in running}
        for index in range(args.rounds):  # there and back, so that a drift of the machine meets all alike
            for name in list(running) if index % 2 == 0 else reversed(list(running)):
                times[name] += running[name].order(f"run {args.steps}")["ms"]
        for name, p in running.items():
            ms = statistics.median(times[name])
            peak = facts["taken_mb"] if name == "tenon" else p.order("stats")["peak_mb"]
            print(f"| {shape} | {name} | {ms:.2f} | {facts['tokens'] / ms * 1e3:.0f} | {facts['step_flops'] / ms * 1e-6 / rate:.3f} | {peak:.0f} | {losses[name][-1]:.4f} |", flush=True)
            p.quit()
        print(f"\n{shape} on {facts['gpu']}: product of 8192 in bf16 {rate / 1e3:.0f} TFLOP/s; plan {facts['planned_mb']:.0f} MB, taken {facts['taken_mb']:.0f} MB\n", flush=True)
        apart = max(abs(losses[n][-1] - losses["tenon"][-1]) for n in losses)
        if apart > 0.05:
            sys.exit(f"error: the losses of {shape} are {apart:.3f} apart after ten steps; the programs do not do the same work")


if __name__ == "__main__":
    main()
