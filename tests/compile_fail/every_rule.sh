#!/usr/bin/env bash
# every_rule.sh INCLUDE MISTAKES: each sentence "[tenon.id]" in a header of INCLUDE has a file in MISTAKES of its name, whose
# first line expects it. Only what the launch alone can say has none (tests/app/): the rules of layer::launch.
set -euo pipefail
export LC_ALL=C.UTF-8
launch=$(sed -n 's/^struct \([a-z_]*\) : rule<layer::launch.*/\1/p' "$1/tenon/recipe/rules/launch.hpp")
ids=$(grep -rhoE '"\[tenon\.[a-z0-9_]+\] ' "$1" | sed 's/^"\[tenon\.\(.*\)\] $/\1/' | sort -u)
[ "$(wc -l <<<"$ids")" -ge 90 ] || { echo "only $(wc -l <<<"$ids") sentences were found in $1"; exit 1; }
bad=0
for id in $ids; do
  grep -qx "$id" <<<"$launch" && continue
  file=$2/$id.cpp
  [ -e "$file" ] || file=$2/train/$id.cpp
  if [ ! -e "$file" ]; then
    echo "the rule $id has no file $id.cpp in $2 (docs/design.md, what a new policy registers)"
    bad=1
  elif ! head -n 1 "$file" | grep -qF "[tenon\\.$id\\]"; then
    echo "$file does not expect the sentence of $id"
    bad=1
  fi
done
exit $bad
