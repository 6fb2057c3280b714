# Sourced by ../tenon: run_tests [SUITE...] [--live] [--trials] (the long trials of ranks). A suite is a room with tests, compile_fail, zero, clang, package or bench.
# Prints one line a suite, and last, alone on a line: "N passed, N failed".

rooms=(core recipe legality plan data observe checkpoint nn models parity exec cuda optim train ranks app deploy docs proof)
torch_free=" core recipe legality plan data observe checkpoint docs "
passed=0 failed=0 budget_used=0

# verdict SUITE PASSED FAILED SINCE LOG: one line, and the log's end where something failed.
verdict() {
  local seconds share
  seconds=$(awk -v a="$4" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  share=$(sed -n "s/^$1 //p" "$root/tests/BUDGET")
  printf '%-14s %5d passed %3d failed  %7.1f s of %s%s\n' "$1" "$2" "$3" "$seconds" "${share:-?}" \
    "$(awk -v s="$seconds" -v b="${share:-0}" 'BEGIN { if (s > b) printf "  (over its budget)" }')"
  passed=$((passed + $2)) failed=$((failed + $3))
  budget_used=$(awk -v a="$budget_used" -v s="$seconds" 'BEGIN { print a + s }')
  if [ "$3" -gt 0 ]; then
    sed -e '/^\[[0-9]*\/[0-9]*\] /d' -e '/^-- /d' -e '/^FAILED: /{n;d}' "$5" | tail -n 60 | sed 's/^/  | /'
    echo "  | all of it: $5"
  fi
}

# doctest_suite NAME PRESET ROOM: builds and runs one binary. A crash or a binary without tests is a failure.
doctest_suite() {
  local name=$1 preset=$2 room=$3 out=$log/test-$1.log line ok=0 bad=1
  if cmake --build "$build/$preset" --target "test_$room" >"$out" 2>&1; then
    local code=0
    "$build/$preset/tests/test_$room" --no-colors=true >"$out" 2>&1 || code=$?
    line=$(sed -n 's/^\[doctest\] test cases: *\([0-9]*\) *| *\([0-9]*\) passed *| *\([0-9]*\) failed.*/\1 \2 \3/p' "$out" | tail -n 1)
    if [ -n "$line" ]; then
      read -r _ ok bad <<<"$line"
      [ "$ok" -gt 0 ] || { echo "no test ran in $room" >>"$out"; bad=$((bad + 1)); }
    fi
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then
      echo "test_$room ended with exit code $code after its tests had passed" >>"$out"
      bad=1
    fi
  fi
  suite_ok=$ok suite_bad=$bad suite_log=$out
}

# ctest_suite NAME REGEX: the tests of build/release that match; counts them from ctest's own summary.
ctest_suite() {
  local out=$log/test-$1.log total bad
  (cd "$build/release" && ctest -R "$2" -j "$(nproc)" --output-on-failure) >"$out" 2>&1 || true
  total=$(sed -n 's/.* tests failed out of \([0-9]*\).*/\1/p' "$out")
  bad=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed.*/\1/p' "$out")
  if [ -z "$total" ] || [ "$total" -eq 0 ]; then total=1 bad=1; fi
  suite_ok=$((total - bad)) suite_bad=$bad suite_log=$out
}

# The kernels on the emulated GPU; then, where there is nvcc, the same tests compiled and linked for a real one, and run where
# there is one, under Compute Sanitizer, too.
cuda_suite() {
  local ok bad logs=$log/test-cuda-all.log note='no nvcc was found: nothing was compiled for a GPU' code=0 out line target=test_cuda_link program
  [ -z "$(nvidia-smi -L 2>/dev/null)" ] || target=test_cuda_gpu
  program=$build/release/tests/$target
  doctest_suite cuda release cuda
  ok=$suite_ok bad=$suite_bad
  cat "$suite_log" >"$logs"
  if grep -q '^TENON_NVCC:FILEPATH=/' "$build/release/CMakeCache.txt"; then
    if cmake --build "$build/release" --target "$target" >>"$logs" 2>&1; then
      ok=$((ok + 1))
      out=$("$program" --no-colors=true 2>&1) || code=$?
      printf '%s\n' "$out" >>"$logs"
      if [ "$code" -eq 77 ] && [ "$(wc -l <<<"$out")" -eq 1 ] && [[ $out == 'no GPU was found'* ]]; then
        ok=$((ok + 1)) note=$out
      else
        line=$(sed -n 's/^\[doctest\] test cases: *\([0-9]*\) *| *\([0-9]*\) passed *| *\([0-9]*\) failed.*/\2 \3/p' <<<"$out" | tail -n 1)
        note=$(head -n 1 <<<"$out")
        [ -n "$line" ] || line='0 1'  # it ended before doctest could count
        ok=$((ok + ${line% *})) bad=$((bad + ${line#* } + (code != 0 && ${line#* } == 0)))
        if has compute-sanitizer; then
          if compute-sanitizer --error-exitcode 1 "$program" >>"$logs" 2>&1; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
        fi
      fi
    else
      bad=$((bad + 1)) note='it does not compile or link for a GPU'
    fi
  fi
  if [ -n "${live:-}" ] && grep -q '^TENON_NVCC:FILEPATH=/' "$build/release/CMakeCache.txt"; then  # whole trainers
    doctest_suite cuda_trainer release cuda_trainer
    ok=$((ok + suite_ok)) bad=$((bad + suite_bad))
    cat "$suite_log" >>"$logs"
  fi
  echo "cuda: $note" >>"$logs"
  suite_ok=$ok suite_bad=$bad suite_log=$logs
}

# The product of policies without LibTorch, then the trainers of its covering set, or of all legal combinations (--full).
legality_suite() {
  local ok bad trainers=legality_trainers logs=$log/test-legality-all.log
  TENON_ALL_TRAINERS=$build/release/tests/legality_all.inc doctest_suite legality release legality
  ok=$suite_ok bad=$suite_bad
  cat "$suite_log" >"$logs"
  [ -z "${full:-}" ] || trainers=legality_full
  doctest_suite "$trainers" release "$trainers"
  cat "$suite_log" >>"$logs"
  suite_ok=$((ok + suite_ok)) suite_bad=$((bad + suite_bad)) suite_log=$logs
}

# The benchmarks' scripts, and how much a recipe instantiates; with --live every program of bench/ is built.
bench_suite() {
  local ok bad logs=$log/test-bench-all.log target targets=(all)
  ctest_suite bench '^bench[.]'
  [ -n "$live" ] && header benchmark/benchmark.h || return 0
  ok=$suite_ok bad=$suite_bad
  cat "$suite_log" >"$logs"
  configure bench -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF
  grep -q '^TENON_NVCC:FILEPATH=/' "$build/bench/CMakeCache.txt" && targets+=(bench_gpu)
  for target in "${targets[@]}"; do
    if cmake --build "$build/bench" --target "$target" >>"$logs" 2>&1; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
  done
  suite_ok=$ok suite_bad=$bad suite_log=$logs
}

# Tiny models against golden files; with --live against transformers, and then the product of all choices.
parity_suite() {
  local ok bad logs=$log/test-parity-all.log
  doctest_suite parity release parity
  [ -n "$live" ] || return 0
  ok=$suite_ok bad=$suite_bad
  cat "$suite_log" >"$logs"
  doctest_suite parity_matrix release parity_matrix
  cat "$suite_log" >>"$logs"
  suite_ok=$((ok + suite_ok)) suite_bad=$((bad + suite_bad)) suite_log=$logs
}

# With the second compiler: every torch-free header alone, the torch-free rooms built and run, the quickstart's trainer built.
clang_suite() {
  local room ok=0 bad=0 out=$log/test-clang.log targets=() clang gxx=$cxx
  clang=$(command -v clang++-14 || command -v clang++)
  cxx=$clang
  configure clang -DTENON_PCH=OFF
  cxx=$gxx
  for room in "${rooms[@]}"; do
    [[ $torch_free == *" $room "* ]] && compgen -G "$root/tests/$room/*.cpp" >/dev/null && targets+=("$room")
  done
  cmake --build "$build/clang" --target headers -- -k 0 >"$out" 2>&1 || bad=$(grep -c '^FAILED: ' "$out" || echo 1)
  ok=$(($(find "$build/clang/tests/headers" -name '*.cpp' | wc -l) - bad))
  cmake --build "$build/clang" --target "${targets[@]/#/test_}" -- -k 0 >>"$out" 2>&1 || true
  for room in "${targets[@]}"; do
    doctest_suite "clang-$room" clang "$room"
    [ "$suite_bad" -eq 0 ] || { cat "$suite_log"; } >>"$out"
    ok=$((ok + suite_ok)) bad=$((bad + suite_bad))
  done
  if [ -e "$quickstart" ]; then
    if cmake --build "$build/clang" --target quickstart >>"$out" 2>&1; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
  fi
  suite_ok=$ok suite_bad=$bad suite_log=$out
}

# How long the messages of tests/compile_fail are, from what check.sh has noted.
messages_text() {
  awk '{ mistakes[$1] = 1; compilers[$2] = 1; if ($3 > lines) { lines = $3; by_lines = $1 " with " $2 } if ($4 > long) { long = $4; by_long = $1 " with " $2 } }
    END { for (m in mistakes) n++; for (c in compilers) all = all " " c
      printf "               %d mistakes with%s, each one error; longest message: %d lines (%s), %d characters (%s)\n", n, all, lines, by_lines, long, by_long }' \
    "$TENON_MESSAGES"
}

run_tests() {
  local start=$EPOCHREALTIME suites=() targets live='' full='' word room since
  for word in "$@"; do
    case $word in
      --live) live=1 ;;
      --full) full=1 ;;  # of the legality suite: every legal combination becomes a trainer
      --update) export TENON_UPDATE_DOCS=1 ;;  # pages that are printed by tests are written instead of compared
      --trials) export TENON_TEST_TRIALS=${TENON_TEST_TRIALS:-5} ;;
      -*) die "'$word' is no option of './tenon test'; there are --live, --full, --trials and --update" ;;
      *) word=${word//-/_}
         [[ " ${rooms[*]} compile_fail zero clang package bench " == *" $word "* ]] || die "'$word' is no suite; there are: ${rooms[*]} compile_fail zero clang package bench"
         suites+=("$word") ;;
    esac
  done
  [ ${#suites[@]} -gt 0 ] || suites=("${rooms[@]}" compile_fail zero clang package bench)
  packages 'the test of a second compiler' '{ has clang++-14 || has clang++; } : clang'
  prepare
  venv testenv "${test_wheels[@]}"
  export TENON_TEST_PYTHON=$build/testenv/bin/python TENON_SOURCE_DIR=$root
  if [ -n "$live" ]; then
    room 8
    venv liveenv "${live_wheels[@]}"
    export TENON_TEST_PYTHON=$build/liveenv/bin/python TENON_TEST_LIVE=1
  fi
  verdict setup 0 0 "$start" ''
  since=$EPOCHREALTIME targets=()  # all at once, which keeps every core busy; what does not compile is told by its suite
  for room in "${suites[@]}"; do
    compgen -G "$root/tests/$room/*.cpp" >/dev/null && [[ $room != compile_fail && $room != zero ]] && targets+=("test_$room")
    [ "$room" != legality ] || targets+=(test_legality_trainers)
    [ "$room" != cuda ] || ! grep -qs '^TENON_NVCC:FILEPATH=/' "$build/release/CMakeCache.txt" || targets+=(test_cuda_link)
  done
  if [ ${#targets[@]} -gt 0 ]; then
    say "building the tests of ${#targets[@]} rooms"
    cmake --build "$build/release" --target "${targets[@]}" -- -k 0 >"$log/test-build.log" 2>&1 || true
    verdict build 0 0 "$since" ''
  fi
  export TENON_MESSAGES=$log/messages
  : >"$TENON_MESSAGES"
  for room in "${suites[@]}"; do
    since=$EPOCHREALTIME
    case $room in
      bench) bench_suite ;;
      compile_fail | zero | package) ctest_suite "$room" "^$room[.]" ;;
      clang) clang_suite ;;
      legality) legality_suite ;;
      parity) parity_suite ;;
      cuda) cuda_suite ;;
      *)
        compgen -G "$root/tests/$room/*.cpp" >/dev/null || continue
        doctest_suite "$room" release "$room"
        ;;
    esac
    verdict "$room" "$suite_ok" "$suite_bad" "$since" "$suite_log"
    [ "$room" != compile_fail ] || messages_text
    [ "$room" != parity ] || sed -n -e 's/^parity: /               /p' -e 's/^\([0-9]* exported\)/               \1/p' "$suite_log"
    [ "$room" != cuda ] || sed -n 's/^cuda: /               /p' "$suite_log"
    [ "$room" != ranks ] || sed -n 's/^ranks: /               /p' "$suite_log"
    [ "$room" != legality ] || sed -n 's/^legality: /               /p' "$suite_log"
  done
  if [ -n "$live" ] && [[ " ${suites[*]} " == *" app "* ]]; then  # last, by ./tenon's own commands, which wait for this lock
    exec 9>&-
    since=$EPOCHREALTIME
    TENON_LIVE_PYTHON=$TENON_TEST_PYTHON "$root/tests/live/models.sh" >"$log/test-live-models.log" 2>&1 || true
    read -r suite_ok suite_bad < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log/test-live-models.log") || suite_ok=0 suite_bad=1
    verdict live_models "$suite_ok" "$suite_bad" "$since" "$log/test-live-models.log"
    since=$EPOCHREALTIME suite_ok=1 suite_bad=0
    "$TENON_TEST_PYTHON" "$root/tests/live/fine_tuning.py" "$root" >"$log/test-live-fine-tuning.log" 2>&1 || suite_ok=0 suite_bad=1
    verdict live_tuning "$suite_ok" "$suite_bad" "$since" "$log/test-live-fine-tuning.log"
  fi
  printf '%-14s %.0f s of %s\n' all "$budget_used" "$(awk '!/^#/ { s += $2 } END { print s }' "$root/tests/BUDGET")"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
