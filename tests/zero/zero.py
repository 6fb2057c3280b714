#!/usr/bin/env python3
"""No run-time dispatch in the code that tenon owns, level by level, with one compiler, and a mutant that each level catches.

    zero.py COMPILER SOURCE_DIR [FLAG...]

Z0 the headers of the step's rooms name no virtual, no std::function, no RTTI
Z1 the binary has no vtable and no typeinfo of tenon's (tenon::error, an exception, excepted); the headers build without RTTI
Z2 no indirect call or jump inside any owned symbol of the pass, whole symbols, -O2 and -O3
Z3 an owned symbol calls kernels and owned symbols, nothing else: no allocation, no lock, no hook of a policy that is off
Z4 instructions of a pass, counted one by one, beside those of a pass written by hand on the same kernels
Z5 the headers of what a pass does not use change not one instruction of it
Z6 the pass by hand and the generic one make the same calls with the same arguments in the same order (pass.cpp)
Z9 with one virtual call inside the parameter store, Z0 to Z4 each fail
Z7, the whole step with LibTorch, is ./tenon bench --zero; Z8, allocations of a step, tests/exec/allocation.cpp.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

compiler, source, flags = sys.argv[1], sys.argv[2], sys.argv[3:]
here = os.path.join(source, "tests", "zero")
clang = "clang" in subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
# Instructions that the layers may add to each kernel call at -O3, in any combination: beside the pass by hand as it stands, and
# beside the same with all of its functions inlined by force (tight). docs/design.md says which instructions they are.
LIMIT, TIGHT = (0.35, 0.35) if clang else (0.0, 0.25)
ROOMS = ["recipe", "nn", "models", "exec", "optim", "train", "parallel"]
OWNED = re.compile(r"tenon::(nn|models|exec|optim|train)::|generic_pass|zero_absent")
FORBIDDEN = re.compile(r"\bvirtual\b|std::function\b|std::any\b|\bdynamic_cast\b|\btypeid\b|std::type_index|std::type_info")
failures = []


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"zero.py: this failed ({done.returncode}): {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def compile_unit(unit, out, *more, include=None):
    run(compiler, "-std=c++20", "-DNDEBUG", *(["-I" + include] if include else []), "-I" + os.path.join(source, "include"),
        "-I" + os.path.join(source, "tests"), "-I" + here, *flags, *more, "-c", os.path.join(here, unit), "-o", out)


def headers_with_dispatch(include):
    """Z0: lines of headers, comments and literals removed, that name a means of dispatch."""
    found = []
    for room in ROOMS:
        for folder, _, files in os.walk(os.path.join(include, "tenon", room)):
            for name in sorted(files):
                with open(os.path.join(folder, name)) as file:
                    text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
                for number, line in enumerate(text.splitlines(), 1):
                    line = re.sub(r'"([^"\\]|\\.)*"', '""', line.split("//")[0])
                    if FORBIDDEN.search(line):
                        found.append(f"{room}/{name}:{number}: {line.strip()}")
    return found


def tables(binary):
    """Z1: vtables and typeinfo in our namespaces."""
    return [line for line in run("nm", "-C", binary).splitlines()
            if re.search(r"(vtable|typeinfo|VTT) for (tenon|zero)::", line) and not re.search(r"for tenon::error$", line)]


def symbols(binary):
    """Demangled name and disassembled lines of each function."""
    name, lines, all_of_them = None, [], []
    for line in run("objdump", "-d", "-C", "--no-show-raw-insn", binary).splitlines():
        head = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if head:
            name, lines = head.group(1), []
            all_of_them.append((name, lines))
        elif name and line.startswith(" "):
            lines.append(line.split("\t", 1)[1] if "\t" in line else line)
    return all_of_them


def owned(name):
    # The function's own name, without its arguments: a library function may have a type of ours in them.
    return OWNED.search(re.sub(r"\(.*", "", name.replace("(anonymous namespace)::", ""))) is not None


def indirect(binary):
    """Z2"""
    return [f"{name[:80]}: {line}" for name, lines in symbols(binary) if owned(name) for line in lines
            if re.match(r"(notrack )?(bnd )?(call|jmp)q?\s+\*", line)]


def foreign_calls(binary):
    """Z3: what owned symbols of the pass call beside kernels and each other. Only symbols that the pass reaches."""
    calls = {}
    for name, lines in symbols(binary):
        for line in lines:
            target = re.match(r"(?:notrack )?(?:bnd )?(?:call|jmp)q?\s+(?:\*(\S+)|[0-9a-f]+ <(.*)>$)", line)
            if target:
                to = "*" + target.group(1) if target.group(1) else re.sub(r"\+0x[0-9a-f]+$", "", target.group(2))
                if to != name:
                    calls.setdefault(name, set()).add(to)
    reached, ahead, foreign = set(), [name for name in calls if "generic_pass" in name], set()
    if not ahead:
        return ["the pass was not found"]
    while ahead:
        name = ahead.pop()
        if name in reached:
            continue
        reached.add(name)
        for target in calls.get(name, ()):
            if re.match(r"zero_(kernel|attention)(@plt)?$", target):
                continue
            if owned(target):
                ahead.append(target)
            else:
                foreign.add(f"{name[:60]} -> {target[:60]}")
    return sorted(foreign)


def counts(binary):
    """Z4 and Z6: {combination: (calls, generic, by hand, tight)}; ends here where the calls differ."""
    result = {}
    for line in run(binary).splitlines():
        found = re.match(r"(\S+)\s+calls (\d+) same generic (\d+) by_hand (\d+) tight (\d+)$", line)
        if not found:
            sys.exit(f"zero.py: the generic pass and the one by hand make other calls: {line}\n"
                     "tests/zero/by_hand.hpp has to follow the layers")
        result[found.group(1)] = tuple(int(found.group(i)) for i in (2, 3, 4, 5))
    return result


def over_limit(found):
    return [f"{name}: {(g - h) / calls:.2f} and {(g - t) / calls:.2f} instructions for each kernel call more than by hand and tight"
            for name, (calls, g, h, t) in found.items() if g - h > LIMIT * calls or g - t > TIGHT * calls]


def text_of(unit):
    return [(name, [re.sub(r"[0-9a-f]+ <", "<", line) for line in lines]) for name, lines in symbols(unit)]


def check(level, what, wrong):
    print(f"{level} {'ok  ' if not wrong else 'FAIL'} {what}")
    if wrong:
        failures.append(level)
        print("\n".join("     " + str(line) for line in wrong[:12]))


def main():
    for tool in ("nm", "objdump"):
        if not shutil.which(tool):
            sys.exit(f"zero.py: {tool} is missing; install binutils")
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        compile_unit("kernel.cpp", at("kernel.o"), "-O2")

        def program(name, *more, include=None):
            compile_unit("pass.cpp", at(name + ".o"), *more, include=include)
            run(compiler, at(name + ".o"), at("kernel.o"), "-o", at(name))
            return at(name)

        check("Z0", "no virtual, std::function or RTTI in " + ", ".join(ROOMS), headers_with_dispatch(os.path.join(source, "include")))
        fast, small = program("fast", "-O3"), program("small", "-O2", "-fno-rtti", "-DFEW")
        for name, binary in (("-O3", fast), ("-O2 -fno-rtti", small)):
            check("Z1", f"no vtable or typeinfo of tenon's ({name})", tables(binary))
            examined = sum(owned(s) for s, _ in symbols(binary))
            check("Z2", f"no indirect call or jump in {examined} owned symbols ({name})",
                  indirect(binary) if examined else ["no owned symbol was found"])
            check("Z3", f"owned symbols call kernels and each other only ({name})", foreign_calls(binary))
        found = counts(fast)
        check("Z4", f"at most {LIMIT} instructions for each kernel call more than by hand, {TIGHT} than tight (-O3)", over_limit(found))
        check("Z6", f"the same calls as by hand, {len(found)} combinations", [] if len(found) == 8 else [f"{len(found)} combinations ran"])
        for name, (calls, generic, hand, tight) in found.items():
            print(f"        {name:26} {calls} kernel calls; instructions outside and in them: generic {generic}, by hand {hand}, "
                  f"tight {tight}; for each call {(generic - hand) / calls:+.2f}, {(generic - tight) / calls:+.2f}")
        compile_unit("absent.cpp", at("alone.o"), "-O3")
        compile_unit("absent.cpp", at("everything.o"), "-O3", "-DEVERYTHING")
        alone, everything = text_of(at("alone.o")), text_of(at("everything.o"))
        check("Z5", "unused headers change no instruction", [] if alone and alone == everything else ["the code differs"])

        mutant = at("include/tenon/exec")
        os.makedirs(mutant)
        with open(os.path.join(source, "include/tenon/exec/store.hpp")) as file:
            store = file.read()
        lend = " private:\n  template <class Params>\n  [[gnu::always_inline]] Params lend(std::int64_t offset) const {\n    Params p{};\n"
        for old, new in ((lend, " public:\n  virtual std::int64_t moved(std::int64_t offset) const { return offset; }\n\n" + lend +
                          "    offset = moved(offset);\n"),):
            if store.count(old) != 1:
                sys.exit("zero.py: store.hpp no longer has the place where the mutant's virtual call goes; adapt this script")
            store = store.replace(old, new)
        with open(os.path.join(mutant, "store.hpp"), "w") as file:
            file.write(store)
        for level, wrong in (("Z0", headers_with_dispatch(at("include"))),):
            check("Z9", f"{level} catches the mutant", [] if wrong else ["it does not"])
        broken = program("broken", "-O3", "-DFEW", include=at("include"))
        for level, wrong in (("Z1", tables(broken)), ("Z2", indirect(broken)), ("Z3", foreign_calls(broken)),
                             ("Z4", over_limit(counts(broken)))):
            check("Z9", f"{level} catches the mutant", [] if wrong else ["it does not"])
    if failures:
        sys.exit("failed: " + " ".join(sorted(set(failures))))


main()
