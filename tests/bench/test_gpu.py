#!/usr/bin/env python3
"""bench/gpu/gpu.py with programs that stand in for the built one and for PyTorch: its table, and when it refuses."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "bench", "gpu", "gpu.py")
FAKE = '''#!{python}
import json, os, sys
peer = any(word.endswith("torch_step.py") for word in sys.argv)
if os.environ.get("FAKE_BROKEN"):
    sys.exit("error: no GPU was found")
loss = 2.0 + (float(os.environ.get("FAKE_APART", 0)) if peer else 0)
ms = 8.0 if "--compile" in sys.argv else 10.0 if peer else 5.0
print(json.dumps({{"ready": "x", "gpu": "a GPU", "step_flops": 1e12, "tokens": 1000, "planned_mb": 70.0, "taken_mb": 70.0}}), flush=True)
for line in sys.stdin:
    order = line.split()
    answers = {{"product": {{"gflops": 4e5}}, "stats": {{"peak_mb": 90.0}}}}
    print(json.dumps(answers.get(order[0]) or {{"ms": [ms] * int(order[1]), "losses": [loss] * int(order[1])}}), flush=True)
'''


def run(peers=True, **environment):
    with tempfile.TemporaryDirectory() as place:
        fake = os.path.join(place, "fake")
        with open(fake, "w") as file:
            file.write(FAKE.format(python=sys.executable))
        os.chmod(fake, os.stat(fake).st_mode | stat.S_IXUSR)
        command = [sys.executable, SCRIPT, "--program", fake, "--dir", place, "--shapes", "124m", "--rounds", "2"]
        return subprocess.run(command + (["--python", fake] if peers else []), env={**os.environ, **environment}, text=True, capture_output=True)


class Gpu(unittest.TestCase):
    def test_table(self):
        done = run()
        self.assertEqual(done.returncode, 0, done.stderr)
        # 1e12 operations in 5 ms are 2e5 GFLOP/s, half of the product's 4e5; 1000 tokens in 5 ms are 200,000 a second.
        self.assertIn("| 124m | tenon | 5.00 | 200000 | 0.500 | 70 | 2.0000 |", done.stdout)
        self.assertIn("| 124m | PyTorch eager | 10.00 | 100000 | 0.250 | 90 | 2.0000 |", done.stdout)
        self.assertIn("| 124m | torch.compile | 8.00 | 125000 | 0.312 | 90 | 2.0000 |", done.stdout)
        self.assertIn("124m on a GPU: product of 8192 in bf16 400 TFLOP/s; plan 70 MB, taken 70 MB", done.stdout)

    def test_alone(self):
        done = run(peers=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("PyTorch", done.stdout)

    def test_other_work_is_refused(self):
        done = run(FAKE_APART="0.2")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("0.200 apart after ten steps", done.stderr)

    def test_no_gpu(self):
        done = run(FAKE_BROKEN="1")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no GPU was found", done.stderr)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
