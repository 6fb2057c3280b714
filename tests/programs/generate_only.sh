#!/usr/bin/env bash
# generate_only.sh PROGRAM: it runs, it has forward code, and no backward code.
set -euo pipefail
"$1"
symbols=$(nm -C --defined-only "$1")
grep -q 'few_rows_product' <<<"$symbols" || { echo "no forward code: are the symbols stripped?"; exit 1; }
if grep -iE 'backward|gradient' <<<"$symbols"; then
  echo "a program that only generates has code of the backward pass"
  exit 1
fi
