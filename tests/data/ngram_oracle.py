"""The baselines of tenon/data/baseline.hpp, written down once more from their formulas: dictionaries, no cleverness.

ngram_oracle.py   prints the bits of unigram and trigram on the second half of made-up rows, after the counts of the first half
"""
import math
from collections import Counter, defaultdict

VOCABULARY, SEQUENCE, SAMPLES = 50, 37, 120


def rows():
    """The rows of baseline_test.cpp: a linear congruential generator, documents of random length, padding at the end."""
    state = 12345

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    out = []
    for s in range(SAMPLES):
        start, last = 0, 0
        sample = []
        for r in range(SEQUENCE):
            if r > 0 and draw(9) == 0:
                start, last = r, 0
            target = (last * 3 + draw(4)) % VOCABULARY if draw(5) else draw(VOCABULARY)
            if s == SAMPLES - 1 and r >= 20:
                target = -1
            sample.append((last, target, start))
            last = max(target, 0)
        out.append(sample)
    return out


def events(samples):
    for sample in samples:
        for r, (token, target, start) in enumerate(sample):
            if target >= 0:
                yield (sample[r - 1][0] if r > start else None), token, target


def main():
    all_rows = rows()
    c1, c2, c3 = Counter(), Counter(), Counter()
    after2, after3 = defaultdict(set), defaultdict(set)
    n2, n3 = Counter(), Counter()
    for u, v, w in events(all_rows[: SAMPLES // 2]):
        c1[w] += 1
        c2[v, w] += 1
        c3[u, v, w] += 1
        after2[v].add(w)
        after3[u, v].add(w)
        n2[v] += 1
        n3[u, v] += 1
    total, kinds = sum(c1.values()), len(c1)
    unigram = trigram = 0.0
    for u, v, w in events(all_rows[SAMPLES // 2 :]):
        p1 = (c1[w] + kinds / VOCABULARY) / (total + kinds)
        p2 = (c2[v, w] + len(after2[v]) * p1) / (n2[v] + len(after2[v])) if n2[v] else p1
        k = len(after3[u, v])
        p3 = (c3[u, v, w] + k * p2) / (n3[u, v] + k) if n3[u, v] else p2
        unigram -= math.log2(p1)
        trigram -= math.log2(p3)
    print(f"{unigram:.9f} {trigram:.9f}")


if __name__ == "__main__":
    main()
