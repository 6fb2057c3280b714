#!/usr/bin/env bash
# models.sh [KIND...]: the way of a model from elsewhere, by the commands that a user writes. transformers saves a tiny V3, V2 or
# llama; ./tenon imports, trains and exports it; transformers loads it, its loss on held-out text is ours within 1e-4, and 64 greedy
# tokens are ours. The V3 is trained once more with a module of multi-token prediction, which transformers does not save; its MtpModel
# loads what we export. Builds two programs for each kind; needs build/liveenv or TENON_LIVE_PYTHON. `./tenon test --live` runs it.
# Prints one line a check, and last "N passed, N failed".
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${TENON_LIVE_PYTHON:-$root/build/liveenv/bin/python}
live=$root/tests/live
work=$root/build/live-models  # always the same, so that the programs are built once
rm -rf "$work"
mkdir -p "$work"
export TQDM_DISABLE=1
passed=0 failed=0

check() {  # check NAME COMMAND...: a line, and what it printed where it failed
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %-14s %s\n' "$name" "$(grep -v '^ *$' "$work/out" | tail -n 1)"
  else
    failed=$((failed + 1))
    printf 'FAILED  %-14s %s\n' "$name" "$*"
    tail -n 25 "$work/out" | sed 's/^/  | /'
  fi
}
differs() { ! "$@" && echo 'a loss that is 1e-3 off is noticed'; }

# trained NAME RECIPE FROM [--mtp]: trains the recipe with FROM's weights, exports the run, and lets transformers judge.
trained() {
  local name=$1 recipe=$2 from=$3 mtp=${4:-} prompt='line 12 of document' size loss
  local run=$work/R-$name out=$work/exported-$name
  check "$name train" "$root/tenon" train "$recipe" --init "$from" --data "$work/text.txt" --run "$run" --steps 50 --schedule.peak=2e-3
  size=$(sed -n 's/.*held out: 1 documents, \([0-9]*\) bytes.*/\1/p' "$work/out")
  loss=$(sed -n 's/.*"val_loss":\([0-9.]*\).*/\1/p' "$run/log.jsonl" 2>/dev/null | tail -n 1) || true
  check "$name export" "$root/tenon" export "$run" --out "$out"
  check "$name loss" "$python" "$live/exported_loss.py" "$out" "$work/text.txt" "$size" "$loss" 64 $mtp
  check "$name loss" differs "$python" "$live/exported_loss.py" "$out" "$work/text.txt" "$size" "$(awk -v l="$loss" 'BEGIN { print l + 1e-3 }')" 64 $mtp
  "$root/tenon" generate "$out" --prompt "$prompt" --temperature 0 --tokens 64 --json >"$work/text.json" 2>"$work/generate.err" || true
  check "$name greedy" "$python" "$live/greedy.py" "$out" "$prompt" 64 "$work/text.json"
}

"$python" - "$work/text.txt" <<'END'
import sys
with open(sys.argv[1], "w") as f:
    for d in range(12):
        f.writelines(f"line {i * (d + 3)} of document {d}: the sum of {i} and {d} is {i + d}.\n" for i in range(120))
END
[ $# -gt 0 ] || set -- v3 v2 llama
for kind in "$@"; do
  model=$work/$kind recipe=$work/tiny_$kind.hpp
  check "$kind model" "$python" "$live/tiny_model.py" "$model" "$work/text.txt" "$kind"
  check "$kind import" "$root/tenon" import "$model" --out "$recipe"
  # A recipe's tail is the user's to edit: a short sample, so that text is cut as exported_loss.py cuts it.
  sed -i 's/\.sequence = [0-9]*_tokens/.sequence = 64_tokens/' "$recipe"
  trained "$kind" "$recipe" "$model"
  if [ "$kind" = v3 ]; then
    sed -e 's/tiny_v3 = /tiny_v3_mtp = /' -e 's/\(tn::model::deepseek_v3{.*\)},$/\1, .mtp_modules = 1},/' "$recipe" >"$work/tiny_v3_mtp.hpp"
    trained v3+mtp "$work/tiny_v3_mtp.hpp" "$work/exported-v3" --mtp
    check 'v3+mtp import' "$root/tenon" import "$work/exported-v3+mtp" --out "$work/again.hpp"
    check 'v3+mtp import' grep -o 'mtp_modules = 1' "$work/again.hpp"
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
