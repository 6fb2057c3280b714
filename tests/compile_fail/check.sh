#!/usr/bin/env bash
# check.sh COMPILER SOURCE FLAGS...: SOURCE must fail to compile, and say so the way a user should meet it.
#   line 1 of SOURCE    // expect: <extended regular expression>
#   line 2 or 3          // lines: 20      where a concept's own explanation follows (default 15)
#   line 2, optionally  // complaint: S5  which line of docs/complaints.md this file proves
#   #ifdef FIXED        what the sentence proposes; with -DFIXED the file must compile: our advice is right
set -u
export LC_ALL=C.UTF-8
compiler=$1 source=$2
shift 2
want=$(sed -n '1s|^// expect: ||p' "$source")
most=$(sed -n '2,3s|^// lines: ||p' "$source")
say=$("$compiler" -std=c++20 -fsyntax-only -fno-diagnostics-color "$@" "$source" 2>&1)
code=$?
say=${say//$(dirname "$source")\//}  # the place of this checkout is not part of the message
folder=$(cd "$(dirname "$source")/../.." && pwd)
say=${say//$folder\//}
fail() {
  printf '%s: %s\n%s\n' "$(basename "$source")" "$1" "$say"
  exit 1
}
[ -n "$want" ] || fail 'its first line is not "// expect: <regular expression>"'
grep -q '^#ifdef FIXED' "$source" || fail 'it has no "#ifdef FIXED" twin'
[ $code -ne 0 ] || fail 'compiled, but must not'
grep -qE -- "$want" <<<"$say" || fail "failed for another reason; wanted /$want/"
errors=$(grep -c 'error:' <<<"$say")
[ "$errors" -eq 1 ] || fail "one mistake gave $errors errors"
case $("$compiler" --version | head -n 1) in
  *clang*) ;;
  *) head -n 6 <<<"$say" | grep -qE -- "$want" || fail 'the sentence is not within the first 6 lines' ;;
esac
[ "$(wc -l <<<"$say")" -le "${most:-15}" ] || fail "the message has $(wc -l <<<"$say") lines, at most ${most:-15} are allowed"
[ ${#say} -le 2200 ] || fail "the message has ${#say} characters, at most 2200 are allowed"
if grep -qiE 'detail|hana|pfr' <<<"$say"; then fail 'the message speaks of the library inside (detail, hana or pfr)'; fi
grep -qE "^$(basename "$source"):[0-9]+|from $(basename "$source"):" <<<"$say" || fail "the message does not name the user's own line"
lines=$(wc -l <<<"$say") characters=${#say}
say=$("$compiler" -std=c++20 -fsyntax-only -fno-diagnostics-color -Werror -DFIXED "$@" "$source" 2>&1) || fail 'what the sentence proposes does not compile (-DFIXED)'
# For the runner's summary.
[ -z "${TENON_MESSAGES:-}" ] || printf '%s %s %s %s\n' "$(basename "$source" .cpp)" "$(basename "$compiler")" "$lines" "$characters" >>"$TENON_MESSAGES"
exit 0
