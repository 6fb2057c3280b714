#!/usr/bin/env python3
"""Our training step against the same step in PyTorch, in one run on one machine.

    compare.py --step build/bench/bench/bench_step --python PYTHON-WITH-TORCH [--workloads quickstart,w1] [--json FILE]

For each workload: both start from the same weights and see the same batches. First the losses of 20 steps must agree within
1e-5 relative, with clipping off; a comparison of two different computations would be worth nothing. Then rounds of four
blocks of steps, ours, theirs, theirs, ours, so that whatever else the machine does meets both. Reported: medians over all
steps, the ratio as the median of the rounds' ratios with the least and the largest, the same for ours against ours (what
the noise alone makes), CPU time of a step, peak resident memory, and in how many rounds others used less than 5 % of the
machine. Where others do use it, threads wait for each other at barriers, eager's far more of them: only quiet rounds tell
how two threads compare, and elsewhere `--threads 1` and its CPU times do. Only the loss gate can fail.
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GATE_STEPS, GATE = 20, 1e-5


class Process:
    """A process that makes training steps when told to."""

    def __init__(self, command, threads):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), PYTHONUNBUFFERED="1")
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.facts = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"compare.py: this ended with code {self.process.wait()} before it answered: {' '.join(self.command)}")
        return json.loads(line)

    def ask(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self.read()

    def ticks(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def quit(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.flush()
        self.process.wait()


def machine_ticks():
    with open("/proc/stat") as stat:
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return user + nice + system + irq + softirq, steal, user + nice + system + idle + iowait + irq + softirq + steal


def block(process, count):
    """`count` steps: their milliseconds, and the shares of the machine that other processes and the hypervisor took."""
    own, (busy, steal, total) = process.ticks(), machine_ticks()
    times = process.ask(f"run {count}")["ms"]
    own = process.ticks() - own
    busy1, steal1, total1 = machine_ticks()
    span = max(1, total1 - total)
    return {"ms": times, "median": statistics.median(times), "cpu_ms": own / os.sysconf("SC_CLK_TCK") * 1e3 / count, "foreign": max(0, busy1 - busy - own) / span, "steal": (steal1 - steal) / span}


def commands(args, workload, directory, extra=()):
    ours = [args.step, workload, "--dir", directory, "--threads", str(args.threads), *extra]
    return ours, [args.python, os.path.join(HERE, "peers", "eager.py"), directory, "--threads", str(args.threads), *extra]


def gate(args, workload, directory):
    ours_command, theirs_command = commands(args, workload, directory, ("--clip", "0"))
    ours = Process(ours_command, args.threads)
    a = ours.ask(f"run {GATE_STEPS}")["losses"]
    ours.quit()
    theirs = Process(theirs_command, args.threads)
    b = theirs.ask(f"run {GATE_STEPS}")["losses"]
    theirs.quit()
    worst = max(abs(x - y) / abs(y) for x, y in zip(a, b))
    if not worst <= GATE:
        sys.exit(f"compare.py: the losses of {workload} differ by {worst:.1e} (more than {GATE}) within {GATE_STEPS} steps, so "
                 f"these are not the same computation; nothing was timed.\n  ours   {a}\n  theirs {b}")
    return {"worst_relative_difference": worst, "losses": a, "peer_losses": b}


def interval(values):
    return {"median": statistics.median(values), "least": min(values), "largest": max(values)}


def compare(args, workload):
    with tempfile.TemporaryDirectory(prefix="tenon-bench-") as directory:
        agreed = gate(args, workload, directory)
        ours_command, theirs_command = commands(args, workload, directory)
        ours = Process(ours_command, args.threads)
        theirs = Process(theirs_command, args.threads)
        with open(os.path.join(directory, "spec.json")) as file:
            spec = json.load(file)
    products = [(ours.ask("product")["gflops"], theirs.ask("product")["gflops"])]
    counts = []
    for process in (ours, theirs):
        warm = process.ask("run 3")["ms"][1:]
        counts.append(max(2, round(args.seconds * 1e3 / statistics.median(warm))))
    rounds = []
    for index in range(args.rounds):
        a1, b1, b2, a2 = (block(p, n) for p, n in ((ours, counts[0]), (theirs, counts[1]), (theirs, counts[1]), (ours, counts[0])))
        rounds.append({"ours": [a1, a2], "theirs": [b1, b2], "ratio": statistics.median(b1["ms"] + b2["ms"]) / statistics.median(a1["ms"] + a2["ms"]),
                       "noise": max(a1["median"], a2["median"]) / min(a1["median"], a2["median"]),
                       "foreign": max(x["foreign"] + x["steal"] for x in (a1, a2, b1, b2))})
        print(f"{workload}: round {index + 1} of {args.rounds}: ours {statistics.median(a1['ms'] + a2['ms']):.2f} ms, theirs "
              f"{statistics.median(b1['ms'] + b2['ms']):.2f} ms, others used up to {100 * rounds[-1]['foreign']:.0f} % of the machine", file=sys.stderr, flush=True)
    products.append((ours.ask("product")["gflops"], theirs.ask("product")["gflops"]))
    tokens = spec["samples"] * spec["sequence"]

    def summary(process, side):
        times = [ms for r in rounds for b in r[side] for ms in b["ms"]]
        median = statistics.median(times)
        return {**process.facts, "median_ms": median, "least_ms": min(times), "tokens_per_s": tokens / median * 1e3, "steps": len(times),
                "gflops": ours.facts["step_flops"] / median * 1e-6, "peak_mb": process.ask("stats")["peak_mb"],
                "cpu_ms": statistics.median(b["cpu_ms"] for r in rounds for b in r[side]),
                "product_gflops": max(p[side == "theirs"] for p in products)}

    result = {"workload": workload, "parameters": spec["parameters"], "tokens_per_step": tokens, "gate": agreed,
              "ours": summary(ours, "ours"), "theirs": summary(theirs, "theirs"),
              "ratio": interval([r["ratio"] for r in rounds]), "noise": interval([r["noise"] for r in rounds]),
              "quiet_rounds": sum(r["foreign"] <= 0.05 for r in rounds), "rounds": rounds}
    quiet = [r["ratio"] for r in rounds if r["foreign"] <= 0.05]
    if quiet:
        result["quiet_ratio"] = interval(quiet)
    for process in (ours, theirs):
        process.quit()
    return result


def cpu_name():
    with open("/proc/cpuinfo") as info:
        return next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.processor())


def table(machine, results):
    lines = [f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads each; "
             f"ours: {results[0]['ours']['version']}, {results[0]['ours']['compiler']}, {results[0]['ours']['isa']}, {results[0]['ours']['blas']}; "
             f"theirs: {results[0]['theirs']['version']} eager, Python {results[0]['theirs']['python']}, {results[0]['theirs']['isa']}, {results[0]['theirs']['blas']}", "",
             "| workload | parameters | tokens a step | ours ms | eager ms | least ms, ours / eager | ours tokens/s | eager tokens/s | times as fast | ours against ours | "
             "CPU ms a step, ours / eager | peak MB, ours / eager | losses differ by | 1024³ product GFLOP/s, ours / eager | quiet rounds |",
             "| --- " * 15 + "|"]
    for r in results:
        a, b, q = r["ours"], r["theirs"], r["ratio"]
        lines.append(f"| {r['workload']} | {r['parameters'] / 1e6:.2f} M | {r['tokens_per_step']} | {a['median_ms']:.2f} | {b['median_ms']:.2f} | "
                     f"{a['least_ms']:.2f} / {b['least_ms']:.2f} | {a['tokens_per_s']:,.0f} | {b['tokens_per_s']:,.0f} | "
                     f"{q['median']:.2f} ({q['least']:.2f} to {q['largest']:.2f}) | {r['noise']['median']:.2f} (to {r['noise']['largest']:.2f}) | "
                     f"{a['cpu_ms']:.1f} / {b['cpu_ms']:.1f} | {a['peak_mb']:.0f} / {b['peak_mb']:.0f} | {r['gate']['worst_relative_difference']:.1e} | "
                     f"{a['product_gflops']:.0f} / {b['product_gflops']:.0f} | {r['quiet_rounds']} of {len(r['rounds'])} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", required=True, help="the program bench_step")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch, numpy and safetensors")
    parser.add_argument("--workloads", default="quickstart,w1", help="of quickstart, w0, w1, w1b, w2 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one block; a round has four (default: %(default)s)")
    parser.add_argument("--json", help="write everything that was measured here")
    args = parser.parse_args()
    machine = {"date": datetime.date.today().isoformat(), "cpu": cpu_name(), "cores": os.cpu_count(), "threads": args.threads, "system": platform.platform()}
    results = [compare(args, workload) for workload in args.workloads.split(",")]
    print(table(machine, results))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "results": results}, file, indent=1)
        print(f"\nwritten to {args.json}")


main()
