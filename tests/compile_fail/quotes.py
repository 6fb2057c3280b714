#!/usr/bin/env python3
"""quotes.py PAGE COMPILER FLAGS...: what a page quotes of the compiler is what the compiler says.

A quote is a block behind the line <!-- compiler: tests/compile_fail/NAME.cpp -->. The file is compiled and its whole
message compared; paths are shortened, and numbers of lines may differ, because they move with every edit of a header.
With TENON_UPDATE_DOCS=1 the page is written instead.
"""
import os
import re
import subprocess
import sys

page, compiler, flags = sys.argv[1], sys.argv[2], sys.argv[3:]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
mark = re.compile(r"^<!-- compiler: (tests/compile_fail/(\w+)\.cpp) -->\n\n```\n(.*?)^```\n", re.S | re.M)


def message(source):
    done = subprocess.run(
        [compiler, "-std=c++20", "-fsyntax-only", "-fno-diagnostics-color", *flags, os.path.join(root, source)],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode == 0:
        sys.exit(f"{source} compiled, but must not")
    text = done.stderr.replace(root + "/include/", "").replace(root + "/tests/compile_fail/", "")
    return text if text.endswith("\n") else text + "\n"


def without_numbers(text):
    return re.sub(r"^ +\d+ \|", "|", re.sub(r":\d+(:\d+)?", ":", text), flags=re.M)


text = open(page, encoding="utf-8").read()
quotes = mark.findall(text)
if len(quotes) < 3:
    sys.exit(f"{page} quotes the compiler {len(quotes)} times; wanted three")
stale = []
for source, name, quoted in quotes:
    now = message(source)
    if f"[tenon.{name}]" not in now:
        stale.append(f"{source} says nothing of its rule:\n{now}")
    elif without_numbers(now) != without_numbers(quoted):
        if os.environ.get("TENON_UPDATE_DOCS") == "1":
            text = text.replace(f"<!-- compiler: {source} -->\n\n```\n{quoted}```\n", f"<!-- compiler: {source} -->\n\n```\n{now}```\n")
        else:
            stale.append(f"{page} quotes {source} wrongly (./tenon test compile-fail --update writes it); it says\n{now}")
if os.environ.get("TENON_UPDATE_DOCS") == "1":
    open(page, "w", encoding="utf-8").write(text)
if stale:
    sys.exit("\n".join(stale))
print(f"{len(quotes)} quotes")
