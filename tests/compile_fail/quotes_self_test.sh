#!/usr/bin/env bash
# quotes_self_test.sh PYTHON PAGE COMPILER FLAGS...: quotes.py refuses a page whose quote has one word changed, and one that lost a quote.
set -u
unset TENON_UPDATE_DOCS
python=$1 page=$2 compiler=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT
sed 's/so its rates would never be reached/so its rates might be reached/' "$page" >"$copy"
if output=$("$python" "$here/quotes.py" "$copy" "$compiler" "$@" 2>&1); then echo 'a changed quote was accepted'; exit 1; fi
grep -q 'quotes tests/compile_fail/warmup_within_horizon.cpp wrongly' <<<"$output" || { echo "refused for another reason: $output"; exit 1; }
sed 's/<!-- compiler: .*heads_divide_hidden.*//' "$page" >"$copy"
if "$python" "$here/quotes.py" "$copy" "$compiler" "$@" 2>/dev/null; then echo 'a page with two quotes was accepted'; exit 1; fi
exit 0
