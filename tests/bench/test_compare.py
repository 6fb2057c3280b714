"""compare.py with programs that stand in for the built ones: what is timed, what is refused, what is written."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BENCH = os.path.join(os.path.dirname(os.path.dirname(HERE)), "bench")
sys.path.insert(0, BENCH)


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tenon-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("bench_step", "bench_floor", "bench_decode", "bench_adapter", "bench_libtorch_loop"):
            path = os.path.join(self.folder, name)
            shutil.copy(os.path.join(HERE, "fake_program.py"), path)
            os.chmod(path, 0o755)
        self.out = os.path.join(self.folder, "out")

    def compare(self, *options, **fakes):
        command = [sys.executable, os.path.join(BENCH, "compare.py"), "--bin", self.folder, "--workloads", "w0,decode", "--rounds", "2", "--seconds", "0.01",
                   "--out", self.out, *options]
        return subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **fakes))

    def results(self):
        with open(os.path.join(self.out, "results.json")) as file:
            return json.load(file)

    def test_times_everything_and_writes_it(self):
        done = self.compare()
        self.assertEqual(done.returncode, 0, done.stderr)
        result = self.results()["results"][0]
        self.assertTrue(result["peers"]["libtorch"]["passed"])
        self.assertEqual(result["peers"]["libtorch"]["ratio"]["value"], 2)
        self.assertEqual(set(result["floors"]), {"floor", "own floor"})
        self.assertEqual(result["counts"]["tenon"], {"allocated": 0, "freed": 0, "mapped": 0})
        self.assertIn("share_of_read", self.results()["decode"])
        with open(os.path.join(self.out, "table.md")) as file:
            text = file.read()
        self.assertIn("| w0 | libtorch | MKL |", text)
        self.assertIn(text.strip(), done.stdout)

    def test_another_computation_is_not_timed(self):
        done = self.compare(FAKE_WRONG="bench_libtorch_loop")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("w0: libtorch", done.stderr)
        peer = self.results()["results"][0]["peers"]["libtorch"]
        self.assertFalse(peer["passed"])
        self.assertNotIn("ratio", peer)
        self.assertIn("not timed", done.stdout)

    def test_a_broken_peer_is_told_and_the_others_go_on(self):
        done = self.compare(FAKE_BROKEN="bench_libtorch_loop")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a sentence about what is broken", done.stderr)
        self.assertIn("floor", self.results()["results"][0]["floors"])

    def test_mistakes_on_the_command_line_are_sentences(self):
        for options, sentence in ((["--workloads", "w9"], "there is no workload 'w9'"), (["--peers", "jax"], "there is no peer 'jax'"),
                                  (["--peers", "eager"], "needs --python"), (["--rounds", "0"], "numbers above zero")):
            done = self.compare(*options)
            self.assertEqual(done.returncode, 2)
            self.assertIn(sentence, done.stderr)

    def test_two_runs_side_by_side(self):
        self.compare()
        page = os.path.join(self.folder, "page.md")
        with open(page, "w") as file:
            file.write("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
        done = subprocess.run([sys.executable, os.path.join(BENCH, "publish.py"), self.out, self.out, "--page", page], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(page) as file:
            text = file.read()
        self.assertTrue(text.startswith("before\n") and text.endswith("after\n"))
        self.assertNotIn("old", text)
        self.assertIn("| w0 | tenon, ms |", text)
        self.assertIn("| +0 |", text)

    def test_encoding_beside_others(self):
        def row(text, ours, theirs, unequal=()):
            return {"split": "GPT-4", "text": text, "bytes": 8_000_000, "tokens": 1, "seconds": {"tenon": ours, "tokenizers": theirs}, "unequal": list(unequal), "foreign": [0.0, 0.5, 0.0]}
        # Ratios 8, 3 and 5 within the rounds: 5, where that of the medians is 4.
        rows = [row("code", [0.5, 1.0, 2.0], [4.0, 3.0, 10.0]), row("Chinese", [1.0, 1.0, 1.0], [4.0, 4.0, 4.0], ["tokenizers"])]
        os.makedirs(self.out)
        page = os.path.join(self.folder, "page.md")
        with open(os.path.join(self.out, "tokenizer.json"), "w") as file:
            json.dump({"command": "c", "date": "d", "cpu": "p", "cores": 2, "rounds": 3, "tokenizers": "1", "tiktoken": "2", "rows": rows}, file)
        with open(page, "w") as file:
            file.write("before\n<!-- tokenizer: begin -->\nold\n<!-- tokenizer: end -->\nafter\n")
        done = subprocess.run([sys.executable, os.path.join(BENCH, "publish.py"), "--tokenizer", self.out, "--page", page], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(page) as file:
            text = file.read()
        self.assertNotIn("old", text)
        self.assertIn("| GPT-4 | code | 8.0 | 8.0 | 2.0 |  | 5.0 |  | equal | 2 of 3 |", text)
        self.assertIn("| 4.0 |  | other than those of tokenizers |", text)
        self.assertIn("least (GPT-4, Chinese) | ≥ 5 | 4.0 | **no** |", text)


if __name__ == "__main__":
    unittest.main()
