#!/usr/bin/env python3
"""bench/compile/instantiations.py: what counts as one template, when a recipe has become too dear, and which names are said."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "compile"))
import instantiations  # noqa: E402


class Instantiations(unittest.TestCase):
    def test_a_template_is_counted_without_its_arguments(self):
        self.assertEqual(instantiations.family("tenon::rules::broken<a<b>, 3>"), "tenon::rules::broken")
        self.assertEqual(instantiations.family("tenon::list<a>::at<0>"), "tenon::list::at")
        self.assertEqual(instantiations.family("boost::pfr::detail::sequence_tuple::get<1>"), "boost::pfr::detail")

    def test_rare_families_are_kept_as_a_sum(self):
        self.assertEqual(instantiations.without_rare({"b": 5, "a": 9, "c": 4, "d": 1}), {"a": 9, "b": 5, "(others)": 5})

    def test_three_per_cent_are_allowed_and_no_more(self):
        before = {"a": 90, "b": 10}
        self.assertIsNone(instantiations.grown({"a": 93, "b": 10}, before))
        self.assertIsNone(instantiations.grown({"a": 10}, before))
        self.assertIn("104 instantiations, 4.0 % more", instantiations.grown({"a": 94, "b": 10}, before))

    def test_the_templates_that_grew_most_are_named_first(self):
        sentence = instantiations.grown({"a": 100, "b": 30, "new": 25}, {"a": 90, "b": 10})
        self.assertTrue(sentence.endswith("most of them: new +25, b +20, a +10"), sentence)

    def test_a_real_compiler_counts_the_same_twice_and_more_for_more(self):
        clang = instantiations.shutil.which("clang++-14") or instantiations.shutil.which("clang++")
        self.assertTrue(clang, "clang++ is needed: apt-get install clang")
        text = "template <int N> struct s { static constexpr int v = s<N - 1>::v; };\ntemplate <> struct s<0> { static constexpr int v = 0; };\n"
        ten = instantiations.measure(clang, [], ".", text + "int x = s<10>::v;\n")[0]
        again = instantiations.measure(clang, [], ".", text + "int x = s<10>::v;\n")[0]
        twenty = instantiations.measure(clang, [], ".", text + "int x = s<20>::v;\n")[0]
        self.assertEqual((ten["s"], again["s"], twenty["s"]), (10, 10, 20))


if __name__ == "__main__":
    unittest.main()
