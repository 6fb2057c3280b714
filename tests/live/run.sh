#!/usr/bin/env bash
# The live tests alone: golden files made anew, checkpoints and exports loaded by transformers, tokenizers compared in full. `./tenon test --live` runs them among
# all others; this script needs the test binaries of build/release (it builds them there) and makes build/liveenv if it is not
# there. Prints one line a suite, and last "N passed, N failed".
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${TENON_BUILD:-$root/build/release}
python=${TENON_LIVE_PYTHON:-$root/build/liveenv/bin/python}
die() { echo "live: $*" >&2; exit 1; }

if ! "$python" -c 'import torch, transformers, safetensors, numpy, tokenizers, peft' 2>/dev/null; then
  [ -z "${TENON_LIVE_PYTHON:-}" ] || die "TENON_LIVE_PYTHON ($python) cannot import torch, transformers, safetensors, numpy, tokenizers and peft; install them there or unset it"
  free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1048576) }')
  [ "$free" -ge 8 ] || die "Python's torch needs 8 GB and the disk that holds $root has $free GB free; free some space"
  echo "live: fetching torch and transformers from PyPI into build/liveenv (about 5 GB)"
  python3 -m venv "$root/build/liveenv" || die "python3 cannot make a virtual environment; apt-get install python3-venv"
  "$python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers numpy safetensors tokenizers peft ||
    die "pip could not install them; its words are above"
fi
[ -e "$build/build.ninja" ] || die "there is no build in $build; run ./tenon build first"
cmake --build "$build" --target test_models test_train test_app test_data >"$build/live-build.log" 2>&1 || { tail -n 20 "$build/live-build.log"; die "the tests do not build; all of it: $build/live-build.log"; }

export TENON_TEST_PYTHON=$python TENON_TEST_LIVE=1
passed=0 failed=0
for room in models train app data; do
  out=$("$build/tests/test_$room" --no-colors=true --test-case='live:*' 2>&1) && code=0 || code=$?
  read -r ok bad < <(sed -n 's/^\[doctest\] test cases: *[0-9]* *| *\([0-9]*\) passed *| *\([0-9]*\) failed.*/\1 \2/p' <<<"$out") || true
  [ "${ok:-0}" -gt 0 ] || [ "${bad:-0}" -gt 0 ] || { ok=0 bad=1; out+=$'\n'"no live test ran in $room"; }
  [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$bad" -eq 0 ] || sed 's/^/  | /' <<<"$out"
  printf 'live %-8s %d passed %d failed\n' "$room" "$ok" "$bad"
  passed=$((passed + ok)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
