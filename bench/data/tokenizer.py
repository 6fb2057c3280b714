"""tokenizer.py PROGRAM --code DIRECTORY [--english FILE...] [--chinese FILE...] [--rounds N] [--megabytes N] [--out FOLDER]: MB/s of one
thread of PROGRAM (bench/data/tokenizer_main.cpp) beside the Python packages `tokenizers` and `tiktoken`, with the same tokenizer.json in
all: one vocabulary of 32,000 behind the splits of GPT-4 (Llama-3's, too), DeepSeek-V3 and DeepSeek-Coder (tiktoken knows one pattern and is
left out there), on code, English, Chinese, text in which all of these follow one another, and random characters of all planes.

Time is that of the CPU, so that what else the machine does counts as little as it can. Programs take turns, forwards in one round and
backwards in the next; a ratio is taken within a round, and the table has the medians of all rounds. Ids must be equal: where they are not,
it says so and fails. FOLDER gets tokenizer.json, which bench/publish.py reads, and tokenizer.md."""
import argparse
import datetime
import gzip
import json
import os
import random
import re
import statistics
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

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402
import report  # noqa: E402

DEEPSEEK_V3 = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
               r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


DEEPSEEK_CODER = ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"]  # and digits one by one


def read(names, most):
    """The texts of these files (.gz: unpacked) that are UTF-8, up to `most` bytes."""
    texts, size = [], 0
    for name in names:
        try:
            with (gzip.open(name, "rt", encoding="utf-8", newline="") if name.endswith(".gz") else open(name, encoding="utf-8", newline="")) as f:
                text = f.read()
        except (UnicodeDecodeError, OSError):
            continue
        if text and size < most:
            texts.append(text)
            size += len(text.encode())
    return texts


def files_below(directory):
    return [os.path.join(at, name) for at, _, names in sorted(os.walk(directory)) for name in sorted(names)]


def mixed(sets, most):
    """Documents in which a few lines of each of these sets follow one another."""
    g = random.Random(2)
    lines = {name: [line for text in texts for line in text.splitlines(keepends=True)] for name, texts in sets.items()}
    texts, size = [], 0
    while size < most:
        parts = []
        for _ in range(40):
            part = lines[g.choice(list(lines))]
            at = g.randrange(len(part))
            parts += part[at:at + g.randrange(1, 12)]
        texts.append("".join(parts))
        size += len(texts[-1].encode())
    return texts


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


def pretokenizers(name, own):
    """The steps of a tokenizer.json; `own` are those that tenon's trainer writes, the split of GPT-4."""
    split = lambda p: {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
    if name == "GPT-4":
        return own
    if name == "DeepSeek-V3":
        return [*map(split, DEEPSEEK_V3), own[-1]]
    return [*map(split, DEEPSEEK_CODER), {"type": "Digits", "individual_digits": True}, own[-1]]


def measure(program, sets, rounds, folder):
    """A row for each split and text: the rounds' seconds by program, and who has other ids than tenon."""
    at = lambda name: os.path.join(folder, name)
    for name, texts in sets.items():
        pack(texts, at(name))
    pack([text for name, texts in sets.items() if name != "random" for text in texts], at("training"))
    subprocess.run([program, "train", at("training"), at("GPT-4.json"), "32000"], check=True)
    with open(at("GPT-4.json"), encoding="utf-8") as f:
        definition = json.load(f)
    own = definition["pre_tokenizer"]["pretokenizers"]
    byte = bytes_of_token()
    special = {a["content"]: a["id"] for a in definition["added_tokens"]}
    ranks = {bytes(byte[c] for c in token): id for token, id in definition["model"]["vocab"].items() if token not in special}

    def tenon(split, name, texts):
        out = subprocess.run([program, "encode", at(split + ".json"), at(name), at("ids")], check=True, capture_output=True, text=True)
        return float(out.stdout), np.fromfile(at("ids"), np.int32)

    def with_tokenizers(split, name, texts):
        t = tokenizers.Tokenizer.from_file(at(split + ".json"))
        t.encode_special_tokens = True
        begun = time.process_time()
        made = t.encode_batch_fast(texts, add_special_tokens=False)
        return time.process_time() - begun, np.concatenate([np.array(e.ids, np.int32) for e in made])

    def with_tiktoken(split, name, texts):
        e = tiktoken.Encoding("bench", pat_str=own[0]["pattern"]["Regex"], mergeable_ranks=ranks, special_tokens=special)
        begun = time.process_time()
        made = [e.encode_ordinary(text) for text in texts]
        return time.process_time() - begun, np.concatenate([np.array(m, np.int32) for m in made])

    rows = []
    for split in ("GPT-4", "DeepSeek-V3", "DeepSeek-Coder"):
        definition["pre_tokenizer"]["pretokenizers"] = pretokenizers(split, own)
        with open(at(split + ".json"), "w", encoding="utf-8") as f:
            json.dump(definition, f)
        programs = {"tenon": tenon, "tokenizers": with_tokenizers, **({"tiktoken": with_tiktoken} if split == "GPT-4" else {})}
        for name, texts in sets.items():
            row = {"split": split, "text": name, "bytes": sum(len(t.encode()) for t in texts), "seconds": {who: [] for who in programs}, "unequal": [], "foreign": []}
            for index in range(rounds):
                ids, own_time, (busy, steal, total) = {}, sum(os.times()[:4]), harness.machine_ticks()
                for who in list(programs)[:: -1 if index % 2 else 1]:
                    seconds, ids[who] = programs[who](split, name, texts)
                    row["seconds"][who].append(seconds)
                busy1, steal1, total1 = harness.machine_ticks()
                own_time = (sum(os.times()[:4]) - own_time) * os.sysconf("SC_CLK_TCK")
                row["foreign"].append((max(0, busy1 - busy - own_time) + steal1 - steal) / max(1, total1 - total))
                row["unequal"] = sorted({*row["unequal"], *(who for who in ids if not np.array_equal(ids[who], ids["tenon"]))})
                row["tokens"] = len(ids["tenon"])
            rows.append(row)
            print(f"{split}, {name}: {row['bytes'] / 1e6:.1f} MB, " + ", ".join(f"{who} {row['bytes'] / statistics.median(s) / 1e6:.1f} MB/s" for who, s in row["seconds"].items()),
                  file=sys.stderr, flush=True)
    return rows


def main():
    args = argparse.ArgumentParser()
    args.add_argument("program")
    args.add_argument("--code", required=True)
    args.add_argument("--english", nargs="*", default=[])
    args.add_argument("--chinese", nargs="*", default=[])
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--megabytes", type=float, default=4)
    args.add_argument("--out", default="")
    args.add_argument("--command", default="")
    args = args.parse_args()
    if args.rounds < 1:
        sys.exit("--rounds takes a number of rounds, 1 at least")
    most = args.megabytes * 1e6
    sets = {"code": read(files_below(args.code), most), "English": read(args.english, most), "Chinese": read(args.chinese, most)}
    sets = {k: v for k, v in sets.items() if v}
    sets["mixed"] = mixed(sets, most)
    sets["random"] = random_text(int(most / 4))
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args.program, sets, args.rounds, folder)
    data = {"command": args.command, "date": datetime.date.today().isoformat(), "cpu": harness.cpu_name(), "cores": os.cpu_count(), "rounds": args.rounds,
            "tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__, "rows": rows}
    text = report.tokenizer_markdown(data)
    print(text)
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        for name, content in (("tokenizer.json", json.dumps(data, indent=1)), ("tokenizer.md", text + "\n")):
            with open(os.path.join(args.out, name), "w", encoding="utf-8") as f:
                f.write(content)
    return 1 if any(r["unequal"] for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
