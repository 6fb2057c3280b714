#!/usr/bin/env python3
"""The training step beside its floor and beside the same step in other frameworks, in one run on one machine.

    compare.py --bin build/bench/bench [--python PYTHON-WITH-TORCH] [--workloads w0,w1,...] [--out DIR]

For each workload all start from the same weights and see the same batches. First the losses of 20 steps must agree within
1e-5 relative, with the gradient norms pinned to tenon's (frameworks compute a norm less exactly than a step); a peer that
fails is not timed: a comparison of two different computations would be worth nothing. Then, for each peer, rounds of four
blocks of steps, tenon, peer, peer, tenon, so that whatever else the machine does meets both. Every median stands with its 95 %
interval (2000 resamplings of whole rounds). The floor is the products of the step's linear layers and one optimizer pass
(floor_main.cpp). Where others use the machine, threads wait for each other at barriers, and some programs have more of them
than others: `--threads 1` is then the fairer comparison.
"""
import argparse
import ctypes.util
import datetime
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time

import report
from harness import HERE, Failed, Process, block, cpu_name, environment, interval, machine_ticks, pair_summary, rounds_of, side_summary, times

GATE_STEPS, GATE = 20, 1e-5
WORKLOADS = "w0,w1,w1b,w2,w4"
CPP_PEERS, PYTHON_PEERS = ["libtorch"], ["eager", "compile", "max-autotune"]


def start(args, name, workload, directory, preload=(), extra=()):
    """The process called `name`."""
    threads, program = str(args.threads), lambda file: os.path.join(args.bin, file)
    script = [args.python or "", os.path.join(HERE, "peers", "torch_step.py"), directory, "--threads", threads]
    command, blas_threads = {
        "tenon": ([program("bench_step"), workload, *(["--dir", directory] if directory else ["--orders"]), "--threads", threads], 1),
        "evaluation": ([program("bench_step"), workload, "--orders", "--evaluate", "--threads", threads], 1),
        "decode": ([program("bench_decode"), workload, "--threads", threads], 1),
        "floor": ([program("bench_floor"), workload, "--threads", threads], 1),
        "own floor": ([program("bench_floor"), workload, "--own", "--threads", threads], 1),
        "libtorch": ([program("bench_libtorch_loop"), workload, "--dir", directory, "--threads", threads], None),
        "adapter": ([program("bench_adapter"), workload, "--dir", directory, "--threads", threads], None),
        "eager": (script, None),
        "compile": (script + ["--compile", "default"], None),
        "max-autotune": (script + ["--compile", "max-autotune"], None),
    }[name]
    return Process(args, name, command + list(extra), environment(args, blas_threads, preload))


def gate(process, losses):
    """The largest relative difference of 20 losses from tenon's."""
    print(f"{process.name}: {GATE_STEPS} steps from the same weights", file=sys.stderr, flush=True)
    theirs = process.ask(f"pinned {GATE_STEPS}")["losses"]
    return max(abs(x - y) / abs(x) for x, y in zip(losses, theirs))


def timed_peer(args, workload, directory, name, tenon, losses):
    """A peer beside tenon: its gate, and if it passes, its rounds."""
    peer = start(args, name, workload, directory)
    try:
        worst = gate(peer, losses)
        if not worst <= GATE:
            print(f"{name}: its losses differ by {worst:.1e}, more than {GATE}: not timed", file=sys.stderr)
            return {"gate": worst, "passed": False}
        rounds = rounds_of(args, workload, tenon, peer)
        rate = peer.ask("product")["gflops"]
        return {"gate": worst, "passed": True, "summary": side_summary(peer, rounds, "b"), "product_gflops": rate, **pair_summary(rounds), "raw": rounds}
    finally:
        peer.quit()


def timed_floor(args, workload, name, tenon):
    floor = start(args, name, workload, "")
    try:
        rounds = rounds_of(args, workload, tenon, floor)
        parts = [[v for r in rounds for b in r["b"] for v in b["parts"][i]] for i in (0, 1)]
        a, b = times(rounds, "a"), times(rounds, "b")
        return {"summary": side_summary(floor, rounds, "b"), **pair_summary(rounds), "products_ms": {"median": statistics.median(parts[0]), "least": min(parts[0])},
                "optimizer_ms": {"median": statistics.median(parts[1]), "least": min(parts[1])},
                "step_over_floor": interval(rounds, lambda rs: statistics.median(statistics.median(times([r], "a")) / statistics.median(times([r], "b")) for r in rs)),
                "step_over_floor_least": min(a) / min(b), "raw": rounds}
    finally:
        floor.quit()


def timed_adapter(args, workload, directory, losses):
    """tenon's adapter for torch modules beside the hand-written loop over the same module."""
    loop = start(args, "libtorch", workload, directory)
    adapter = start(args, "adapter", workload, directory)
    try:
        worst = gate(adapter, losses)
        if not worst <= GATE:
            return {"gate": worst, "passed": False}
        gate(loop, losses)
        rounds = rounds_of(args, workload, loop, adapter)
        return {"gate": worst, "passed": True, "summary": side_summary(adapter, rounds, "b"), **pair_summary(rounds), "raw": rounds}
    finally:
        adapter.quit()
        loop.quit()


def counted(args, name, workload, directory, steps=5):
    """The most that a step asks the system for, after the first ones; counted in a process of its own."""
    process = start(args, name, workload, directory, preload=[os.path.join(args.bin, "libbench_allocations.so")])
    try:
        process.ask("run 2")
        return {key: max(values) for key, values in process.ask(f"allocations {steps}").items()}
    finally:
        process.quit()


def first_step(args, name, workload, directory):
    """Seconds from the program's start to the end of its first step, the least of three starts."""
    seconds = []
    for _ in range(3):
        process = start(args, name, workload, "" if name == "tenon" else directory)
        process.ask("run 1")
        seconds.append(time.perf_counter() - process.began)
        process.quit()
    return min(seconds)


def compare(args, workload):
    with tempfile.TemporaryDirectory(prefix="tenon-bench-") as directory:
        print(f"{workload}: {GATE_STEPS} steps of tenon", file=sys.stderr, flush=True)
        tenon = start(args, "tenon", workload, directory)
        opening = tenon.ask(f"run {GATE_STEPS}")
        with open(os.path.join(directory, "norms.json"), "w") as file:
            json.dump(opening["norms"], file)
        with open(os.path.join(directory, "spec.json")) as file:
            spec = json.load(file)
        result = {"workload": workload, "parameters": spec["parameters"], "tokens_per_step": spec["samples"] * spec["sequence"], "step_flops": tenon.facts["step_flops"],
                  "planned_mb": tenon.facts["planned_mb"], "losses": opening["losses"], "peers": {}, "floors": {}, "counts": {}, "first_step_s": {}, "problems": []}
        raw = []

        def attempt(what, f):
            try:
                return f()
            except Failed as problem:
                result["problems"].append(f"{workload}: {problem}")
                print(f"compare.py: {problem}", file=sys.stderr)
                return None
        for name in ("floor", "own floor"):
            if done := attempt(name, lambda: timed_floor(args, workload, name, tenon)):
                raw += done.pop("raw")
                result["floors"][name] = done
        for name in args.peers:
            if done := attempt(name, lambda: timed_peer(args, workload, directory, name, tenon, opening["losses"])):
                raw += done.pop("raw", [])
                result["peers"][name] = done
        result["tenon"] = side_summary(tenon, raw or rounds_of(args, workload, tenon, tenon), "a")
        result["tenon"]["gflops"] = tenon.facts["step_flops"] / result["tenon"]["median_ms"]["value"] * 1e-6
        tenon.quit()
        if "libtorch" in args.peers:
            if done := attempt("adapter", lambda: timed_adapter(args, workload, directory, opening["losses"])):
                done.pop("raw", None)
                result["adapter"] = done
        print(f"{workload}: counting allocations", file=sys.stderr, flush=True)
        for name in ["tenon", "evaluation", *args.peers]:
            if name in ("tenon", "evaluation") or result["peers"].get(name, {}).get("passed"):
                if done := attempt(name, lambda: counted(args, name, workload, "" if name == "tenon" else directory)):
                    result["counts"][name] = done
        if workload == "w1":
            print(f"{workload}: start to first step", file=sys.stderr, flush=True)
            for name in ["tenon", *args.peers]:
                if done := attempt(name, lambda: first_step(args, name, workload, directory)):
                    result["first_step_s"][name] = done
    return result


def decode(args, workload="w2"):
    """Tokens a second of one sequence, beside the rate at which the same threads read memory, taken in turns."""
    process = start(args, "decode", workload, "")
    try:
        count = max(2, round(args.seconds * 1e3 / statistics.median(process.ask("run 3")["ms"][1:])))
        rounds = []
        for index in range(args.rounds):
            before, steps, after = process.ask("product")["gflops"], block(process, count), process.ask("product")["gflops"]
            rounds.append({"a": [steps], "read": max(before, after)})
            print(f"decode of {workload}: round {index + 1} of {args.rounds}: {statistics.median(steps['ms']):.2f} ms a token, memory reads at "
                  f"{rounds[-1]['read']:.1f} GB/s", file=sys.stderr, flush=True)
        size = process.facts["bytes_per_token"]
        rate = lambda rs: size / statistics.median(times(rs, "a")) * 1e-6
        return {"workload": workload, "bytes_per_token": size, "tokens_per_s": interval(rounds, lambda rs: 1e3 / statistics.median(times(rs, "a"))),
                "gb_per_s": interval(rounds, rate), "read_gb_per_s": interval(rounds, lambda rs: statistics.median(r["read"] for r in rs)),
                "share_of_read": interval(rounds, lambda rs: rate(rs) / statistics.median(r["read"] for r in rs)), "peak_mb": process.ask("stats")["peak_mb"],
                "counts": counted(args, "decode", workload, "", 20)}
    finally:
        process.quit()


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the folder of the built bench_* programs")
    parser.add_argument("--python", help="a Python that has torch, numpy and safetensors; without it the peers are those in C++")
    parser.add_argument("--peers", help="of libtorch, eager, compile, max-autotune (default: all that can run)")
    parser.add_argument("--workloads", default=WORKLOADS, help="of quickstart, w0, w1, w1b, w2, w4, decode (default: all but quickstart)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one block; a round has four (default: %(default)s)")
    parser.add_argument("--blas", choices=["mkl", "openblas", "mkl-fast"], default="mkl",
                        help="what the library's products and the peers run on; mkl-fast is an undocumented switch of MKL (mkl_fast.cpp)")
    parser.add_argument("--openblas", help="OpenBLAS's library (default: the system's)")
    parser.add_argument("--out", help="a folder for table.md, results.json and chart.png")
    parser.add_argument("--command", default=shlex.join(["bench/compare.py", *sys.argv[1:]]), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.workloads == WORKLOADS:
        args.workloads += ",decode"
    args.workloads = args.workloads.split(",")
    known = ["quickstart", *WORKLOADS.split(","), "decode"]
    for workload in args.workloads:
        if workload not in known:
            parser.error(f"there is no workload '{workload}'; there are {', '.join(known)}")
    args.peers = args.peers.split(",") if args.peers else CPP_PEERS + (PYTHON_PEERS if args.python else [])
    for peer in args.peers:
        if peer not in CPP_PEERS + PYTHON_PEERS:
            parser.error(f"there is no peer '{peer}'; there are {', '.join(CPP_PEERS + PYTHON_PEERS)}")
        if peer in PYTHON_PEERS and not args.python:
            parser.error(f"the peer '{peer}' needs --python, a Python that has torch")
    if min(args.rounds, args.threads) < 1 or args.seconds <= 0:
        parser.error("--rounds, --threads and --seconds take numbers above zero")
    if args.blas == "openblas" and not args.openblas:
        args.openblas = ctypes.util.find_library("openblas") or parser.error("OpenBLAS was not found; apt-get install libopenblas0-openmp, or name its library with --openblas")
    return args


def main():
    args = options()
    machine_ticks()  # fails here, not after minutes, where there is no /proc
    machine = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(), "threads": args.threads, "system": f"{platform.system()} {platform.release().split('-')[0]}, {' '.join(platform.libc_ver())}",
               "blas": args.blas, "workloads": args.workloads, "command": args.command, "rounds": args.rounds, "seconds": args.seconds}
    results, decoded, drawn = [], None, False
    for workload in args.workloads:
        try:
            if workload == "decode":
                decoded = decode(args)
            else:
                results.append(compare(args, workload))
        except Failed as problem:
            sys.exit(f"compare.py: {problem}")
        if args.out:  # as far as it got, so that a run cut short is not lost
            report.write(args.out, {"machine": machine, "results": results, "decode": decoded})
            drawn = report.chart(args.out, results)
    print(report.markdown({"machine": machine, "results": results, "decode": decoded}))
    if args.out:
        print(f"\nwritten to {args.out}: table.md, results.json" + (", chart.png" if drawn else "; no chart.png (it needs workloads beside decode, and matplotlib)"))
    failed = [f"{r['workload']}: {name}" for r in results for name, p in r["peers"].items() if not p["passed"]] + [p for r in results for p in r["problems"]]
    sys.exit(f"compare.py: not compared: {'; '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
