"""tokenizer.py PROGRAM CODE_DIRECTORY [--chinese FILE...] [--rounds N]: MB/s on one thread of PROGRAM (bench/data/tokenizer_main.cpp)
beside the Python packages `tokenizers` and `tiktoken`, on code, on Chinese and on random characters, with the same tokenizer.json in
all. Programs take turns; of the rounds the best counts for each. Ids must be equal: where they are not, it says so and fails.

Two tokenizers over one vocabulary of 32,000: the split of GPT-4 and Llama-3, and the three splits of DeepSeek-V3 (tiktoken has one
pattern only and is left out there). CODE_DIRECTORY: every file of UTF-8 below it, up to 20 MB."""
import argparse
import gzip
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import numpy as np
import tiktoken
import tokenizers

DEEPSEEK_V3 = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
               r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def files_below(directory, most):
    texts, size = [], 0
    for at, folders, names in sorted(os.walk(directory)):
        folders.sort()
        for name in sorted(names):
            try:
                with open(os.path.join(at, name), encoding="utf-8", newline="") as f:
                    text = f.read()
            except (UnicodeDecodeError, OSError):
                continue
            if text and size < most:
                texts.append(text)
                size += len(text.encode())
    return texts


def chinese(names):
    texts = []
    for name in names:
        with (gzip.open(name, "rt", encoding="utf-8", newline="") if name.endswith(".gz") else open(name, encoding="utf-8", newline="")) as f:
            try:
                texts.append(f.read())
            except UnicodeDecodeError:
                continue
    return [t for t in texts if t]


def random_text(size):
    """Characters of all planes, but for those that PCRE2's Unicode tables are too old for (tests/data/newer_code_points.inc)."""
    listed = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "data", "newer_code_points.inc")
    with open(listed) as f:
        newer = [(int(a, 16), int(b, 16)) for a, b in re.findall(r"\{0x([0-9A-F]+), 0x([0-9A-F]+)\}", f.read())]
    usable = lambda p: not 0xD800 <= p < 0xE000 and not any(a <= p <= b for a, b in newer)
    g = random.Random(1)
    texts = []
    for _ in range(size // 4000):
        points = [g.choice((g.randrange(128), g.randrange(0x3000), g.randrange(0x4E00, 0xA000), g.randrange(0x110000))) for _ in range(2000)]
        texts.append("".join(chr(p) if usable(p) else " " for p in points))
    return texts


def pack(texts, name):
    with open(name, "wb") as f:
        for t in texts:
            data = t.encode()
            f.write(struct.pack("<I", len(data)) + data)


def bytes_of_token():
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    table, extra = {}, 0x100
    for b in range(256):
        table[chr(b) if b in plain else chr(extra)] = b
        extra += b not in plain
    return table


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("code")
    args.add_argument("--chinese", nargs="*", default=[])
    args.add_argument("--rounds", type=int, default=3)
    args = args.parse_args()
    sets = {"code": files_below(args.code, 20e6), "Chinese": chinese(args.chinese), "random": random_text(2_000_000)}
    sets = {k: v for k, v in sets.items() if v}
    unequal = False
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        for name, texts in sets.items():
            pack(texts, at(name))
        pack(sets["code"] + sets.get("Chinese", []) * 4, at("training"))
        subprocess.run([args.program, "train", at("training"), at("gpt4.json"), "32000"], check=True)
        with open(at("gpt4.json"), encoding="utf-8") as f:
            definition = json.load(f)
        pattern = definition["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        byte = bytes_of_token()
        special = {a["content"]: a["id"] for a in definition["added_tokens"]}
        ranks = {bytes(byte[c] for c in token): id for token, id in definition["model"]["vocab"].items() if token not in special}
        split = lambda p: {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
        definition["pre_tokenizer"]["pretokenizers"] = [split(p) for p in DEEPSEEK_V3] + definition["pre_tokenizer"]["pretokenizers"][-1:]
        with open(at("deepseek_v3.json"), "w", encoding="utf-8") as f:
            json.dump(definition, f)

        print(f"tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}, best of {args.rounds} rounds, one thread, MB/s")
        print(f"{'split':12} {'text':8} {'MB':>6} {'tenon':>8} {'tokenizers':>11} {'tiktoken':>9}  tenon / tokenizers, ids")
        for split_name in ("gpt4", "deepseek_v3"):
            for name, texts in sets.items():
                size = os.path.getsize(at(name)) - 4 * len(texts)
                best, ids = {}, {}

                def took(who, seconds, result):
                    best[who] = min(best.get(who, 1e9), seconds)
                    ids[who] = result

                for _ in range(args.rounds):
                    out = subprocess.run([args.program, "encode", at(split_name + ".json"), at(name), at("ids")], check=True, capture_output=True, text=True)
                    took("tenon", float(out.stdout), np.fromfile(at("ids"), np.int32))
                    t = tokenizers.Tokenizer.from_file(at(split_name + ".json"))
                    t.encode_special_tokens = True
                    begun = time.perf_counter()
                    made = t.encode_batch_fast(texts, add_special_tokens=False)
                    seconds = time.perf_counter() - begun
                    took("tokenizers", seconds, np.concatenate([np.array(e.ids, np.int32) for e in made]))
                    if split_name == "gpt4":
                        e = tiktoken.Encoding("bench", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
                        begun = time.perf_counter()
                        made = [e.encode_ordinary(text) for text in texts]
                        seconds = time.perf_counter() - begun
                        took("tiktoken", seconds, np.concatenate([np.array(m, np.int32) for m in made]))
                speed = {who: size / s / 1e6 for who, s in best.items()}
                different = [who for who in ids if not np.array_equal(ids[who], ids["tenon"])]
                unequal = unequal or bool(different)
                print(f"{split_name:12} {name:8} {size / 1e6:6.1f} {speed['tenon']:8.1f} {speed['tokenizers']:11.2f} {speed.get('tiktoken', float('nan')):9.2f}"
                      f"  {speed['tenon'] / speed['tokenizers']:.1f} times, {'UNEQUAL: ' + ', '.join(different) if different else 'equal'}", flush=True)
    return 1 if unequal else 0


if __name__ == "__main__":
    sys.exit(main())
