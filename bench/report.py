"""What compare.py measured, as Markdown, JSON and a chart."""
import json
import os
import statistics

import goals


def between(v, digits=2):
    """A value with its interval."""
    return f"{v['value']:.{digits}f} ({v['low']:.{digits}f} to {v['high']:.{digits}f})"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows), ""]


def calls(counts):
    if not counts:
        return "not counted"
    return f"{counts['allocated']:,} / {counts['freed']:,} / {counts['mapped']:,}"


def gemm_of(name, facts, blas):
    """Which routine multiplies the matrices of this row."""
    library = {"mkl": "MKL", "openblas": "OpenBLAS", "mkl-fast": "MKL, vendor check overridden"}[blas]
    if facts.get("blas") == "tenon's own":
        return "tenon's own"
    return {"compile": f"{library}, inductor's", "max-autotune": f"{library} or inductor's"}.get(name, library)


def steps_table(machine, results):
    rows = []
    for r in results:
        def row(name, facts, ratio, gate, rounds):
            ms = facts["median_ms"]
            return [r["workload"], name, gemm_of(name, facts, machine["blas"]), between(ms), f"{facts['least_ms']:.2f}", f"{r['tokens_per_step'] / ms['value'] * 1e3:,.0f}",
                    ratio, f"{facts['peak_mb']:.0f}", calls(r["counts"].get(name)), gate, rounds]
        rows.append(row("tenon", r["tenon"], "1", "", ""))
        for name, p in r["peers"].items():
            if p["passed"]:
                rows.append(row(name, p["summary"], between(p["ratio"]), f"{p['gate']:.1e}", f"{p['quiet_rounds']} of {p['rounds']}"))
            else:
                rows.append([r["workload"], name, "", "not timed: another computation", "", "", "", "", "", f"{p['gate']:.1e}", ""])
    return table(["workload", "program", "GEMM", "median ms", "least ms", "tokens/s", "time, times tenon's", "peak MB", "malloc / free / mmap a step", "losses differ by", "quiet rounds"], rows)


def floor_table(results):
    rows = []
    for r in results:
        for name, f in r["floors"].items():
            rows.append([r["workload"], {"floor": "library", "own floor": "tenon's own"}[name], f"{f['products_ms']['least']:.2f} / {f['products_ms']['median']:.2f}",
                         f"{f['optimizer_ms']['least']:.2f} / {f['optimizer_ms']['median']:.2f}", f"{f['step_over_floor_least']:.2f}", between(f["step_over_floor"]),
                         f"{f['noise']:.2f} (to {f['noise_most']:.2f})", f"{f['quiet_rounds']} of {f['rounds']}"])
    return table(["workload", "GEMM of the floor", "products ms, least / median", "optimizer pass ms, least / median", "step / floor, least", "step / floor, medians",
                  "tenon against itself", "quiet rounds"], rows)


def busy(results):
    """A sentence where others used the machine in most rounds."""
    measured = [p for r in results for p in [*r["floors"].values(), *r["peers"].values()] if "rounds" in p]
    quiet, rounds = (sum(p[key] for p in measured) for key in ("quiet_rounds", "rounds"))
    return [] if 2 * quiet >= rounds else [f"**Only {quiet} of {rounds} rounds were quiet: other programs used this machine. Repeat this on an idle one before a ratio is believed.**", ""]


def markdown(data):
    machine, results, decode = data["machine"], data["results"], data["decode"]
    done = [r["workload"] for r in results] + ["decode"] * bool(decode)
    missing = [w for w in machine["workloads"] if w not in done]
    lines = [f"`{machine['command']}`", "", *([f"Ended before {', '.join(missing)} was measured.", ""] if missing else []), *busy(results),
             f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['threads']} thread{'s' * (machine['threads'] > 1)}, {machine['system']}; BLAS of the peers and of the floor: {machine['blas']}. "
             f"{machine['rounds']} rounds of four blocks of {machine['seconds']:g} s. Medians with 95 % intervals (2000 resamplings of whole rounds)."]
    if results:
        own = results[0]["tenon"]
        versions = sorted({f"{p['summary']['version']}" + (f", Python {p['summary']['python']}" if "python" in p["summary"] else "") for r in results for p in r["peers"].values() if p["passed"]})
        lines += [f"tenon: {own['compiler']}, {own['version']}, {own['isa']}. Peers: {'; '.join(versions)}.", ""]
        lines += steps_table(machine, results)
        lines += ["The floor is the products of the step's linear layers and one optimizer pass; attention, norms and the loss are no part of it.", ""]
        lines += floor_table(results)
        adapters = [(r["workload"], r["adapter"]) for r in results if r.get("adapter")]
        if adapters:
            lines += ["A torch module through tenon's adapter beside the hand-written loop over the same module:", ""]
            lines += table(["workload", "adapter ms", "overhead %", "least over least", "loop against itself", "losses differ by", "quiet rounds"],
                           [[w, between(a["summary"]["median_ms"]), " to ".join(f"{100 * (a['ratio'][k] - 1):+.1f}" for k in ("low", "high")) + f", median {100 * (a['ratio']['value'] - 1):+.1f}",
                             f"{a['ratio_of_least']:.3f}", f"{a['noise']:.2f} (to {a['noise_most']:.2f})", f"{a['gate']:.1e}", f"{a['quiet_rounds']} of {a['rounds']}"]
                            if a["passed"] else [w, "not timed: another computation", "", "", "", f"{a['gate']:.1e}", ""] for w, a in adapters])
        evaluations = [[r["workload"], calls(r["counts"].get("tenon")), calls(r["counts"].get("evaluation"))] for r in results]
        lines += ["What tenon asks the system for after the first step (malloc / free / mmap, the most of five steps):", ""] + table(["workload", "training", "evaluation"], evaluations)
        for r in results:
            if r["first_step_s"]:
                lines += [f"From the program's start to the end of the first step of {r['workload']}, seconds, least of three (torch.compile from its cache): "
                          + ", ".join(f"{name} {s:.2f}" for name, s in r["first_step_s"].items()) + ".", ""]
    if decode:
        lines += ["", f"Decoding with {decode['workload']}, batch 1, {decode['bytes_per_token'] / 1e6:.0f} MB of weights a token: {between(decode['tokens_per_s'], 1)} tokens/s, "
                  f"{between(decode['gb_per_s'], 1)} GB/s, where the same threads read memory at {between(decode['read_gb_per_s'], 1)} GB/s: "
                  f"share {between(decode['share_of_read'])}; malloc / free / mmap a token: {calls(decode['counts'])}.", ""]
    aims = goals.rows(results, decode)
    if aims:
        lines += ["Gates and goals:", ""] + table(["aim", "asked", "measured", "met"], aims)
    return "\n".join(lines)


def tokenizer_markdown(data):
    """What data/tokenizer.py measured."""
    rows, aims = [], []
    for r in data["rows"]:
        seconds = r["seconds"]
        speed = lambda who: f"{r['bytes'] / statistics.median(seconds[who]) / 1e6:.1f}" if who in seconds else ""
        times = lambda who: statistics.median(b / a for a, b in zip(seconds["tenon"], seconds[who])) if who in seconds else None
        quiet = sum(f <= 0.05 for f in r["foreign"])
        rows.append([r["split"], r["text"], f"{r['bytes'] / 1e6:.1f}", *map(speed, ("tenon", "tokenizers", "tiktoken")),
                     *(f"{times(who):.1f}" if times(who) else "" for who in ("tokenizers", "tiktoken")),
                     f"other than those of {', '.join(r['unequal'])}" if r["unequal"] else "equal", f"{quiet} of {len(r['foreign'])}"])
        aims.append((times("tokenizers"), r))
    least, r = min(aims, key=lambda a: a[0])
    lines = [*([f"`{data['command']}`", ""] if data["command"] else []),
             f"{data['date']}, {data['cpu']}, {data['cores']} cores; one thread, by the CPU's time; tokenizers {data['tokenizers']}, tiktoken {data['tiktoken']}, a vocabulary of 32,000. "
             f"Medians of {data['rounds']} rounds in turns; a ratio is taken within a round.", "",
             *table(["split", "text", "MB", "tenon, MB/s", "tokenizers, MB/s", "tiktoken, MB/s", "times tokenizers", "times tiktoken", "ids", "quiet rounds"], rows),
             *table(["aim", "asked", "measured", "met"], [[f"goal: encoding, times as fast as tokenizers, least ({r['split']}, {r['text']})", f"≥ {goals.OVER_TOKENIZERS:g}",
                                                           f"{least:.1f}", goals.yes(least >= goals.OVER_TOKENIZERS)]])]
    return "\n".join(lines).rstrip()


def write(folder, data):
    os.makedirs(folder, exist_ok=True)
    for name, text in (("results.json", json.dumps(data, indent=1)), ("table.md", markdown(data) + "\n")):
        with open(os.path.join(folder, name + ".part"), "w") as file:
            file.write(text)
        os.replace(os.path.join(folder, name + ".part"), os.path.join(folder, name))


def chart(folder, results):
    """chart.png: each program's time as a multiple of tenon's, with intervals. False where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    if not results:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    names = ["floor", *dict.fromkeys(name for r in results for name in r["peers"])]
    figure, axes = plt.subplots(figsize=(1.8 + 1.7 * len(results), 4.2))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        at, height, low, high = [], [], [], []
        for j, r in enumerate(results):
            p = r["floors"].get(name) or r["peers"].get(name) or {}
            if "ratio" in p:
                v = p["ratio"]
                at.append(j + (i - (len(names) - 1) / 2) * width)
                height.append(v["value"]), low.append(v["value"] - v["low"]), high.append(v["high"] - v["value"])
        if at:
            axes.bar(at, height, width * 0.92, yerr=[low, high], capsize=2, label="floor (products + optimizer)" if name == "floor" else name)
            for x, h in zip(at, height):
                axes.annotate(f"{h:.2f}", (x, h), textcoords="offset points", xytext=(0, 4), ha="center", fontsize=7)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_ylabel("time of a step, tenon = 1 (log scale)")
    axes.set_xticks(range(len(results)), [f"{r['workload']}\ntenon {r['tenon']['median_ms']['value']:.3g} ms" for r in results])
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(os.path.join(folder, "chart.png"), dpi=150)
    return True
