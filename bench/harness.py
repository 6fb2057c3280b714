"""Processes that make steps under orders (orders.hpp), blocks of their steps beside what else the machine did, statistics."""
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    """A process ended before it answered."""


def environment(args, blas_threads=None, preload=()):
    """The environment of a process: as many threads, and the BLAS that --blas asks for. `blas_threads`: where they are not
    the process's, as in a program whose own threads each call the BLAS."""
    threads = str(blas_threads or args.threads)
    env = dict(os.environ, OMP_NUM_THREADS=str(args.threads) if args.blas != "openblas" else threads, MKL_NUM_THREADS=str(args.threads), PYTHONUNBUFFERED="1",
               TORCHINDUCTOR_CACHE_DIR=os.path.join(args.bin, "inductor"), OPENBLAS_NUM_THREADS=threads)
    preload = list(preload)
    if args.blas == "mkl-fast":
        preload.append(os.path.join(args.bin, "libbench_mkl_fast.so"))
    if args.blas == "openblas":
        preload.append(args.openblas)
    if preload:
        env["LD_PRELOAD"] = ":".join(preload + [p for p in [env.get("LD_PRELOAD")] if p])
    return env


class Process:
    """A process that makes steps when told to. Its error output goes to a log and is shown where it fails."""

    def __init__(self, args, name, command, env):
        self.name, self.command, self.began = name, command, time.perf_counter()
        self.log = open(os.path.join(args.bin, "peer-" + name.replace(" ", "-") + ".log"), "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=env)
        self.facts = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            last = "".join(self.log.readlines()[-12:])
            raise Failed(f"{self.name} ended with code {code} before it answered: {' '.join(self.command)}\n{last}")
        return json.loads(line)

    def ask(self, order):
        try:
            self.process.stdin.write(order + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # read() tells what happened
        return self.read()

    def ticks(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def quit(self):
        try:
            self.process.stdin.write("quit\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.log.close()


def machine_ticks():
    with open("/proc/stat") as stat:
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return user + nice + system + irq + softirq, steal, user + nice + system + idle + iowait + irq + softirq + steal


def block(process, count):
    """`count` steps: their milliseconds, and the shares of the machine that other processes and the hypervisor took."""
    own, (busy, steal, total) = process.ticks(), machine_ticks()
    done = process.ask(f"run {count}")
    own = process.ticks() - own
    busy1, steal1, total1 = machine_ticks()
    span = max(1, total1 - total)
    return {"ms": done["ms"], "parts": [done["losses"], done["norms"]], "cpu_ms": own / os.sysconf("SC_CLK_TCK") * 1e3 / count,
            "foreign": max(0, busy1 - busy - own) / span + (steal1 - steal) / span}


def warm_count(process, seconds):
    """How many steps fill `seconds`, after a few that warm up."""
    warm = process.ask("run 3")["ms"][1:]
    return max(2, round(seconds * 1e3 / statistics.median(warm)))


def rounds_of(args, label, a, b):
    """Rounds of four blocks: a, b, b, a. Whatever else the machine does meets both."""
    counts = [warm_count(p, args.seconds) for p in (a, b)]
    rounds = []
    for index in range(args.rounds):
        a1, b1, b2, a2 = (block(p, n) for p, n in ((a, counts[0]), (b, counts[1]), (b, counts[1]), (a, counts[0])))
        rounds.append({"a": [a1, a2], "b": [b1, b2], "foreign": max(x["foreign"] for x in (a1, a2, b1, b2))})
        print(f"{label}: round {index + 1} of {args.rounds}: {a.name} {statistics.median(a1['ms'] + a2['ms']):.2f} ms, {b.name} "
              f"{statistics.median(b1['ms'] + b2['ms']):.2f} ms, others used up to {100 * rounds[-1]['foreign']:.0f} % of the machine",
              file=sys.stderr, flush=True)
    return rounds


def interval(rounds, statistic):
    """statistic(rounds) with its 95 % interval: the middle of 2000 resamplings of whole rounds, with replacement."""
    draw = random.Random(1)
    samples = sorted(statistic([draw.choice(rounds) for _ in rounds]) for _ in range(2000 if len(rounds) > 1 else 1))
    return {"value": statistic(rounds), "low": samples[int(0.025 * (len(samples) - 1))], "high": samples[round(0.975 * (len(samples) - 1))]}


def times(rounds, side):
    return [ms for r in rounds for b in r[side] for ms in b["ms"]]


def side_summary(process, rounds, side):
    """What a process did in these rounds."""
    return {**process.facts, "median_ms": interval(rounds, lambda rs: statistics.median(times(rs, side))), "least_ms": min(times(rounds, side)),
            "steps": len(times(rounds, side)), "cpu_ms": statistics.median(b["cpu_ms"] for r in rounds for b in r[side]),
            "peak_mb": process.ask("stats")["peak_mb"]}


def pair_summary(rounds):
    """How many times as long b takes as a, on medians and on minima; and a against itself, which is what noise alone makes."""
    def ratio(rs):
        return statistics.median(statistics.median(times([r], "b")) / statistics.median(times([r], "a")) for r in rs)

    def noise(r):
        m = [statistics.median(b["ms"]) for b in r["a"]]
        return max(m) / min(m)
    quiet = [r for r in rounds if r["foreign"] <= 0.05]
    return {"ratio": interval(rounds, ratio), "ratio_of_least": min(times(rounds, "b")) / min(times(rounds, "a")),
            "noise": statistics.median(map(noise, rounds)), "noise_most": max(map(noise, rounds)),
            "medians_of_rounds_ms": [[statistics.median(times([r], side)) for side in ("a", "b")] for r in rounds],
            "quiet_rounds": len(quiet), "rounds": len(rounds), "foreign": statistics.median(r["foreign"] for r in rounds),
            **({"quiet_ratio": interval(quiet, ratio)} if quiet else {})}


def cpu_name():
    with open("/proc/cpuinfo") as info:
        lines = info.read().splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    return name + (" (AVX-512)" if "avx512f" in flags else " (AVX2)" if "avx2" in flags else "")
