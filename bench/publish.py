#!/usr/bin/env python3
"""Writes what two runs of `./tenon bench` measured, side by side, into docs/performance.md.

    publish.py RUN1 [RUN2] [--page docs/performance.md]
    publish.py --tokenizer RUN [--page docs/performance.md]

RUN1 and RUN2 are the folders that --out named; with one alone, its table alone is written. The text between the page's lines `<!-- bench: begin -->` and
`<!-- bench: end -->` is replaced: first both runs' figures beside each other, which shows the noise, then the first run's whole
table. The first run's chart is copied beside the page. --tokenizer: what `./tenon bench --tokenizer --out RUN` measured, between the
lines `<!-- tokenizer: begin -->` and `<!-- tokenizer: end -->`.
"""
import argparse
import json
import os
import shutil
import sys

from report import markdown, table, tokenizer_markdown

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def loaded(folder, name="results.json"):
    path = os.path.join(folder, name)
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError) as problem:
        sys.exit(f"publish.py: cannot read {path} ({problem}); give a folder that './tenon bench --out FOLDER' has written")


def figures(data):
    """(workload, what) -> number of a run."""
    out = {}
    for r in data["results"]:
        w = r["workload"]
        out[w, "tenon, ms"] = r["tenon"]["median_ms"]["value"]
        for name, f in r["floors"].items():
            out[w, f"step / {'library' if name == 'floor' else 'own'} floor, least"] = f["step_over_floor_least"]
            out[w, f"step / {'library' if name == 'floor' else 'own'} floor, medians"] = f["step_over_floor"]["value"]
        for name, p in r["peers"].items():
            if p["passed"]:
                out[w, f"{name}, time over tenon's"] = p["ratio"]["value"]
        if r.get("adapter", {}).get("passed"):
            out[w, "adapter over the hand-written loop"] = r["adapter"]["ratio"]["value"]
    if data["decode"]:
        out["decode", "tokens/s"] = data["decode"]["tokens_per_s"]["value"]
        out["decode", "share of read bandwidth"] = data["decode"]["share_of_read"]["value"]
    return out


def side_by_side(a, b):
    first, second = figures(a), figures(b)
    rows = []
    for key in [*first, *(k for k in second if k not in first)]:
        x, y = first.get(key), second.get(key)
        rows.append([*key, *(f"{v:.2f}" if v is not None else "" for v in (x, y)), f"{100 * (y / x - 1):+.0f}" if x and y else ""])
    return table(["workload", "figure", f"run 1 ({a['machine']['date']})", f"run 2 ({b['machine']['date']})", "difference %"], rows)


def page_with(text, new, part="bench"):
    marks = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    begin, end = map(text.find, marks)
    if begin < 0 or end < begin:
        sys.exit(f"publish.py: the page has no lines '{marks[0]}' and '{marks[1]}' in this order")
    return text[: begin + len(marks[0])] + "\n" + new + text[end:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--tokenizer", metavar="RUN")
    parser.add_argument("--page", default=os.path.join(ROOT, "docs", "performance.md"))
    args = parser.parse_args()
    if len(args.runs) > 2 or not (args.runs or args.tokenizer):
        parser.error("give one run or two")
    runs = [loaded(folder) for folder in args.runs]
    with open(args.page) as file:
        text = file.read()
    if runs:
        lines = ["", *(side_by_side(*runs) + ["Run 1 in full:", ""] if len(runs) == 2 else []), markdown(runs[0])]
        chart = os.path.join(args.runs[0], "chart.png")
        if os.path.exists(chart):
            shutil.copy(chart, os.path.join(os.path.dirname(os.path.abspath(args.page)), "performance.png"))
            lines.insert(1, "![time of a step, tenon = 1](performance.png)\n")
        text = page_with(text, "\n".join(lines).rstrip() + "\n\n")
    if args.tokenizer:
        text = page_with(text, "\n" + tokenizer_markdown(loaded(args.tokenizer, "tokenizer.json")) + "\n\n", "tokenizer")
    with open(args.page, "w") as file:
        file.write(text)
    print(f"written to {args.page}")


if __name__ == "__main__":
    main()
