#!/usr/bin/env python3
"""How many templates the compiler instantiates for each recipe, against a baseline: more than 3 % is a failure that names the
templates that grew. Counts, unlike seconds, are the same on a busy machine.

    instantiations.py --source DIR [--clang COMPILER] [--update] [FLAG...]

Counted are the events InstantiateClass and InstantiateFunction of clang's -ftime-trace (granularity 0), for the check of each
recipe below and for its plan, both without LibTorch. The baseline holds counts by clang's major version; of another version
nothing is known, and that is said. --update writes the baseline anew. Seconds and peak memory are printed, never judged.
"""
import argparse
import collections
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.03
RECIPES = {  # name: (header, recipe)
    "base": ("tenon/variants/base.hpp", "tenon::variants::base"),
    "pro": ("tenon/variants/pro.hpp", "tenon::variants::pro"),
    "ultra": ("tenon/variants/ultra.hpp", "tenon::variants::ultra"),
    "quickstart": ("quickstart/quickstart.hpp", "quickstart"),
}
WORK = {
    "check": '#include <tenon/recipe.hpp>\n#include "{header}"\nstatic_assert(tenon::legal<{recipe}>);\n',
    "plan": '#include <tenon/recipe.hpp>\n#include <tenon/exec/plan.hpp>\n#include "{header}"\nauto const bytes = tenon::plan<{recipe}>.total();\n',
}


def fail(text):
    sys.exit("instantiations.py: " + text)


def family(name):
    """tenon::rules::broken out of an event's detail: without arguments, at most three names, so that counts add up."""
    depth, kept = 0, []
    for c in name:
        depth += c == "<"
        if depth == 0:
            kept.append(c)
        depth -= c == ">"
    return "::".join("".join(kept).split("::")[:3])


def without_rare(counts):
    """What a baseline keeps: families of at least five instantiations, and the sum of the others."""
    kept = {name: n for name, n in counts.items() if n >= 5}
    return {**dict(sorted(kept.items())), "(others)": sum(counts.values()) - sum(kept.values())}


def measure(clang, flags, source, text):
    """(counts by template, CPU seconds, peak MB) of one unit."""
    with tempfile.TemporaryDirectory() as folder:
        unit, trace = os.path.join(folder, "unit.cpp"), os.path.join(folder, "unit.json")
        with open(unit, "w") as file:
            file.write(text)
        command = [clang, "-std=c++20", "-ftime-trace", "-ftime-trace-granularity=0", "-I" + os.path.join(source, "include"),
                   "-I" + os.path.join(source, "examples"), *flags, "-c", unit, "-o", os.path.join(folder, "unit.o")]
        with open(os.path.join(folder, "words"), "w+") as words:
            process = subprocess.Popen(command, stdout=words, stderr=words)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            words.seek(0)
            if process.returncode != 0:
                fail(f"this failed: {' '.join(command)}\n{words.read()}")
        with open(trace) as file:
            events = json.load(file)["traceEvents"]
    counts = collections.Counter(family(e["args"]["detail"]) for e in events
                                 if e.get("name") in ("InstantiateClass", "InstantiateFunction"))
    if not counts:
        fail(f"{clang} wrote no instantiations into its time trace")
    return counts, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def grown(now, before, tolerance=TOLERANCE):
    """The sentence about one unit that costs more than its baseline allows; nothing where it does not."""
    total, allowed = sum(now.values()), sum(before.values())
    if total <= allowed * (1 + tolerance):
        return None
    now = without_rare(now)
    worst = sorted(((now[name] - before.get(name, 0), name) for name in now), reverse=True)[:5]
    return (f"{total} instantiations, {100 * (total / allowed - 1):.1f} % more than the baseline's {allowed}; most of them: " +
            ", ".join(f"{name} +{more}" for more, name in worst if more > 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    parser.add_argument("--clang", default=shutil.which("clang++-14") or shutil.which("clang++"))
    parser.add_argument("--baseline", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json"))
    parser.add_argument("--update", action="store_true")
    args, flags = parser.parse_known_args()
    if not args.clang:
        fail("no clang++ was found; install clang (apt-get install clang)")
    version = subprocess.run([args.clang, "--version"], capture_output=True, text=True).stdout
    major = re.search(r"clang version (\d+)", version)
    if not major:
        fail(f"'{args.clang}' is no clang; the counts are made of its -ftime-trace")
    key = "clang " + major.group(1)
    with open(args.baseline) as file:
        baseline = json.load(file)
    known = baseline.get(key)
    found, wrong = {}, []
    for recipe, (header, name) in RECIPES.items():
        for work, text in WORK.items():
            counts, seconds, peak = measure(args.clang, flags, args.source, text.format(header=header, recipe=name))
            label = f"{work} of {recipe}"
            found[label] = without_rare(counts)
            change = ""
            if known and label in known:
                change = f"  ({100 * (sum(counts.values()) / sum(known[label].values()) - 1):+.1f} %)"
                sentence = grown(counts, known[label])
                if sentence:
                    wrong.append(f"{label}: {sentence}")
            print(f"{label:20} {sum(counts.values()):6} instantiations{change}   {seconds:.2f} s CPU, {peak:.0f} MB")
            if known and label not in known and not args.update:
                wrong.append(f"{label} is not in the baseline; write it with --update")
    if args.update:
        baseline[key] = found
        with open(args.baseline, "w") as file:
            versions = ",\n".join(json.dumps(version) + ": {\n" + ",\n".join(f"{json.dumps(label)}: {json.dumps(counts)}" for label, counts in units.items()) + "}"
                                  for version, units in sorted(baseline.items()))
            file.write("{" + versions + "}\n")
        print(f"{args.baseline}: written for {key}")
    elif not known:
        print(f"the baseline knows {', '.join(baseline) or 'nothing'} and this is {key}: nothing was compared")
    elif wrong:
        sys.exit("\n".join(wrong) + "\nIf that is meant: bench/compile/instantiations.py --update")


if __name__ == "__main__":
    main()
