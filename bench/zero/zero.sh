#!/usr/bin/env bash
# zero.sh BENCH_ZERO: instructions of the generic pass and of the pass by hand, counted by callgrind inside these functions
# alone, and their difference, in all and in those kernels that stand as functions of their own in both (the compiler may
# inline a kernel into one pass and call it from the other). Callgrind knows no AVX-512, so BENCH_ZERO is a build with -DTENON_ISA=AVX2 (./tenon bench --zero).
set -euo pipefail
program=$1 steps=${2:-10}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$program"
for which in generic by_hand; do
  printf 'zero.sh: counting the instructions of %s (half a minute)\n' "$which" >&2
  out=$(mktemp)
  valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no --toggle-collect="zero_$which" "$program" "$which" "$steps" >"$out.log" 2>&1 ||
    { tail -n 5 "$out.log" >&2; echo "zero.sh: valgrind failed; see $out.log" >&2; exit 1; }
  count=$(sed -n 's/^summary: //p' "$out")
  [ "${count:-0}" -gt 0 ] || { echo "zero.sh: callgrind counted nothing in zero_$which; see $out.log" >&2; exit 1; }
  declare "$which=$count"
  # One line a function: its name, a tab, its own instructions.
  callgrind_annotate --threshold=100 "$out" 2>/dev/null | sed -nE 's/^ *([0-9,]+) +(\([^)]*%\) +)?[^:]*:(.*)$/\3\t\1/p' | sed 's/,\([0-9][0-9][0-9]\)/\1/g' | sort >"$folder/$which"
  rm -f "$out" "$out.log"
done
awk -v g="$generic" -v h="$by_hand" -v s="$steps" 'BEGIN { printf "instructions a pass: generic %d, by hand %d, difference %+.4f %%\n", g / s, h / s, 100 * (g - h) / h }'
awk -F '\t' -v s="$steps" 'NR == FNR { generic[$1] = $2; next }
  $1 in generic { n++; if (generic[$1] == $2) { equal++; same += $2 } else printf "differs: %+d a pass in %s\n", (generic[$1] - $2) / s, substr($1, 1, 100) }
  END { printf "%d functions are in both; %d of them, with %d instructions a pass, count the same\n", n, equal, same / s }' "$folder/generic" "$folder/by_hand"
