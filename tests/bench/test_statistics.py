"""Intervals and ratios of rounds whose answers are known."""
import os
import statistics
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bench"))
import goals  # noqa: E402
from harness import interval, pair_summary, times  # noqa: E402


def rounds(*pairs):
    """Rounds in which every step of a and of b takes as long as told."""
    def one(ms):
        return {"ms": [ms] * 3, "median": ms}
    return [{"a": [one(a), one(a)], "b": [one(b), one(b)], "foreign": 0.0 if a < 5 else 0.5} for a, b in pairs]


class Statistics(unittest.TestCase):
    def test_rounds_that_agree_have_no_interval(self):
        v = interval(rounds((1, 2), (1, 2), (1, 2)), lambda rs: statistics.median(times(rs, "b")))
        self.assertEqual(v, {"value": 2, "low": 2, "high": 2})

    def test_an_interval_holds_its_value(self):
        v = interval(rounds((1, 2), (1, 3), (1, 4), (1, 5)), lambda rs: statistics.median(times(rs, "b")))
        self.assertTrue(2 <= v["low"] <= v["value"] <= v["high"] <= 5)
        self.assertLess(v["low"], v["high"])

    def test_the_ratio_is_taken_within_a_round(self):
        # The machine is ten times slower in the second round, and the ratio is two in both.
        v = pair_summary(rounds((1, 2), (10, 20)))
        self.assertEqual(v["ratio"]["value"], 2)
        self.assertEqual((v["quiet_rounds"], v["rounds"]), (1, 2))
        self.assertEqual(v["noise"], 1)

    def test_goals_are_met_or_missed(self):
        def peer(ratio):
            return {"passed": True, "ratio": {"value": ratio}, "summary": {"peak_mb": 100.0}}
        result = {"workload": "w1", "tenon": {"peak_mb": 50.0}, "floors": {"floor": {"step_over_floor_least": 1.05}}, "first_step_s": {"tenon": 1.0},
                  "peers": {"eager": peer(1.6), "compile": peer(1.5), "max-autotune": peer(1.2)}, "counts": {"tenon": {"allocated": 0, "freed": 0, "mapped": 1}}}
        met = {row[0]: row[3] for row in goals.rows([result], None)}
        self.assertEqual(met["gate: w1, step / floor (library's GEMM), least"], "yes")
        self.assertEqual(met["goal: w1, times as fast as torch.compile (its faster mode)"], "**no**")
        self.assertEqual(met["goal: w1, times as fast as eager"], "yes")
        self.assertEqual(met["gate: w1, peak memory of eager's"], "**no**")
        self.assertEqual(met["gate: w1, calls of malloc, free and mmap a step, training"], "**no**")


if __name__ == "__main__":
    unittest.main()
