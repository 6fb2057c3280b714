#!/usr/bin/env python3
"""What compiling costs: CPU seconds, wall seconds and peak memory of each unit below, for each compiler, without ccache.

    compile.py [--build DIR] [--libtorch DIR] [--compilers g++,clang++-14] [--only WORD,...]

Configures the project once with the precompiled header and once without into DIR, takes the commands from
compile_commands.json, and runs them one after another. CPU seconds are what counts where other programs run, too. Do not edit headers meanwhile: the
precompiled one would be out of date.
"""
import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECIPE = '#include "{root}/examples/quickstart/quickstart.hpp"\n'
# Ten recipes that differ in the numbers that the rules look at.
TEN = RECIPE + "".join(f"constexpr auto r{i} = quickstart.edit([](auto& r) {{ r.schedule.peak = {i + 1}e-4; r.horizon = tn::steps{{{i + 1}000}}; }});\n"
                       f"static_assert(tn::legal<r{i}>);\n" for i in range(10))
# label, with the precompiled header?, the entry of compile_commands.json (end of its file's path), text in place of that file
UNITS = [
    ("<tenon/recipe.hpp> alone (no LibTorch)", True, "tenon_quickstart/check.cpp", "#include <tenon/recipe.hpp>\n"),
    ("a recipe checked with all rules (no LibTorch)", True, "tenon_quickstart/check.cpp", None),
    ("ten recipes checked with all rules (no LibTorch)", True, "tenon_quickstart/check.cpp", TEN),
    ("precompiled <tenon/tenon.hpp>, once for all trainers", True, "tenon_pch.dir/cmake_pch.hxx.cxx", None),
    ("trainer of the quickstart, with the precompiled header", True, "tenon_quickstart/main.cpp", None),
    ("trainer of the quickstart, without it", False, "tenon_quickstart/main.cpp", None),
    ("tests/models/deepseek_llm_gradients.cpp", True, "tests/models/deepseek_llm_gradients.cpp", None),
    ("tests/app/run.cpp", True, "tests/app/run.cpp", None),
]


def configured(args, compiler, precompiled):
    """compile_commands.json of a build folder for this compiler."""
    folder = os.path.join(args.build, f"{os.path.basename(compiler)}{'' if precompiled else '-without-pch'}")
    if not os.path.exists(os.path.join(folder, "compile_commands.json")):
        command = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_COMPILER={shutil.which(compiler)}",
                   f"-DTENON_PCH={'ON' if precompiled else 'OFF'}", f"-DTENON_TESTS={'ON' if precompiled else 'OFF'}", "-DTENON_REQUIRE=ON"]
        if args.libtorch:
            command.append(f"-DTENON_LIBTORCH={args.libtorch}")
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"compile.py: this failed: {shlex.join(command)}\n{done.stderr}")
    with open(os.path.join(folder, "compile_commands.json")) as file:
        return json.load(file)


def measured(command, folder, log):
    """(CPU seconds, wall seconds, peak MB, exit code) of a compiler with everything that it starts; its words go to a log."""
    start = time.perf_counter()
    with open(log, "w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "compile"))
    parser.add_argument("--libtorch", default=os.environ.get("TENON_LIBTORCH"))
    parser.add_argument("--compilers", default="g++,clang++-14")
    parser.add_argument("--only", default="", help="only units whose label has one of these words")
    args = parser.parse_args()
    words = [w for w in args.only.split(",") if w]
    compilers = [c for c in args.compilers.split(",") if shutil.which(c)]
    versions = [subprocess.run([c, "--version"], capture_output=True, text=True).stdout.splitlines()[0] for c in compilers]
    print("CPU seconds / wall seconds / peak MB; " + "; ".join(versions) + "\n")
    print("| unit | " + " | ".join(compilers) + " |\n| --- " + "| --- " * len(compilers) + "|", flush=True)
    failed = False
    for label, precompiled, suffix, text in UNITS:
        if words and not any(w in label for w in words):
            continue
        cells = []
        for compiler in compilers:
            entries = [e for e in configured(args, compiler, precompiled) if e["file"].endswith(suffix)]
            if not entries:
                sys.exit(f"compile.py: compile_commands.json has no {suffix}")
            command, folder = shlex.split(entries[0]["command"]), entries[0]["directory"]
            command = [entries[0]["file"] if word == entries[0]["file"] else word for word in command]
            output = command[command.index("-o") + 1]
            os.makedirs(os.path.join(folder, os.path.dirname(output)), exist_ok=True)
            if text is not None:
                source = os.path.join(folder, "compile_unit.cpp")
                with open(source, "w") as file:
                    file.write(text.replace("{root}", ROOT))
                command = [source if word == entries[0]["file"] else word for word in command]
            log = os.path.join(folder, f"compile-{label.translate(str.maketrans('/<> ', '----'))}.log")
            cpu, wall, peak, code = measured(command, folder, log)
            if code != 0:
                failed = True
                print(f"compile.py: '{label}' does not compile with {compiler}; see {log}", file=sys.stderr)
            cells.append(f"{cpu:.1f} / {wall:.1f} / {peak:.0f}" if code == 0 else "fails")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)
    sys.exit(failed)


main()
