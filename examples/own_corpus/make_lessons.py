#!/usr/bin/env python3
"""Writes lessons.jsonl, the corpus of this example: short lessons in arithmetic, the same bytes at every run.

Each line is {"text": ..., "level": ...}. The level is what the recipe's curriculum goes by: 1 adds single digits, 2 carries,
3 multiplies step by step.
"""
import json
import pathlib

state = 20_240_607


def draw(low, high):
    """A number from low to high, from a generator that no Python version changes (Lehmer, modulus 2^31 - 1)."""
    global state
    state = state * 48_271 % 2_147_483_647
    return low + state % (high - low + 1)


def easy():
    a, b = draw(0, 9), draw(0, 9)
    return f"{a} and {b} make {a + b}.\n{b} and {a} make {a + b}, too.\n{a + b} less {b} is {a}.\n"


def medium():
    a, b = draw(11, 89), draw(11, 89)
    ones, carry = a % 10 + b % 10, (a % 10 + b % 10) // 10
    line = f"{a} + {b}: the ones are {a % 10} + {b % 10} = {ones}"
    line += ", write %d, carry 1" % (ones % 10) if carry else ", nothing to carry"
    tens = a // 10 + b // 10
    return f"{line}.\nThe tens are {a // 10} + {b // 10}{' + 1' if carry else ''} = {tens + carry}.\nSo {a} + {b} = {a + b}.\n"


def hard():
    a, b = draw(12, 99), draw(12, 99)
    tens, ones = b // 10 * 10, b % 10
    return (f"{a} * {b}: split {b} into {tens} + {ones}.\n{a} * {tens} = {a * tens}.\n{a} * {ones} = {a * ones}.\n"
            f"{a * tens} + {a * ones} = {a * b}.\nSo {a} * {b} = {a * b}.\n")


lessons = [(easy, 1)] * 100 + [(medium, 2)] * 100 + [(hard, 3)] * 100
with open(pathlib.Path(__file__).with_name("lessons.jsonl"), "w", encoding="utf-8") as out:
    for write, level in lessons:
        out.write(json.dumps({"text": write(), "level": level}) + "\n")
