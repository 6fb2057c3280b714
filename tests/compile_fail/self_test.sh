#!/usr/bin/env bash
# self_test.sh COMPILER: the harness accepts harness/good.cpp and refuses every other file there, each for the reason that
# the file's last line states ("// refused: <text>", or "// refused by g++: <text>" for what only g++ is held to).
set -u
tag='// refused\( by g++\)*: '
case $("$1" --version | head -n 1) in *clang*) tag='// refused: ' ;; esac
here=$(cd "$(dirname "$0")" && pwd)
bad=0 seen=0
for file in "$here"/harness/*.cpp; do
  seen=$((seen + 1))
  reason=$(sed -n "s|^$tag||p" "$file")
  if output=$("$here/check.sh" "$1" "$file"); then
    [ -z "$reason" ] || { echo "harness/$(basename "$file") was accepted; it must be refused: $reason"; bad=1; }
  elif [ -z "$reason" ] || ! grep -qF -- "$reason" <<<"$output"; then
    echo "harness/$(basename "$file") was refused for another reason: $output"
    bad=1
  fi
done
[ $seen -ge 11 ] || { echo "only $seen files in harness/"; bad=1; }
# A rule without a file is noticed.
"$here/every_rule.sh" "$here/../../include" "$here/harness" >/dev/null && { echo 'every_rule.sh accepted a folder without files'; bad=1; }
exit $bad
