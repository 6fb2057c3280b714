# Sourced by ../tenon: run_bench [--peers] [--workloads LIST] [--rounds N] [--seconds S] [options of Google Benchmark].
# Builds and runs every kernel benchmark (bench/<room>/*.cpp) and the training step of the workloads; with --peers only the
# step, against PyTorch eager in the same run. TENON_BENCH_PYTHON: a Python with torch, to do without the download.
run_bench() {
  local file name workload peers='' workloads=quickstart,w1 rounds=6 seconds=2 google=() python=${TENON_BENCH_PYTHON:-}
  while [ $# -gt 0 ]; do
    case $1 in
      --peers) peers=1 ;;
      --workloads | --rounds | --seconds)
        [ $# -ge 2 ] || die "$1 takes a value"
        [ "$1" = --seconds ] || [ "$1" = --rounds ] || workloads=$2
        [ "$1" != --rounds ] || rounds=$2
        [ "$1" != --seconds ] || seconds=$2
        shift
        ;;
      --benchmark_*) google+=("$1") ;;
      *) die "'$1' is no option of './tenon bench'; there are --peers, --workloads LIST, --rounds N, --seconds S and --benchmark_*" ;;
    esac
    shift
  done
  prepare
  configure bench -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF
  say 'building the benchmarks (a minute or two the first time)'
  if [ -n "$peers" ]; then
    make_target bench bench_step
    if [ -z "$python" ]; then
      [ -x "$build/benchenv/bin/python" ] || room 8
      venv benchenv numpy safetensors torch==2.13.0
      python=$build/benchenv/bin/python
    fi
    exec 9>&-  # the build is done; others may start theirs
    "$python" "$root/bench/compare.py" --step "$build/bench/bench/bench_step" --python "$python" --workloads "$workloads" \
      --rounds "$rounds" --seconds "$seconds" --json "$build/bench/compare.json"
    return
  fi
  make_target bench all
  exec 9>&-
  for file in "$root"/bench/*/*.cpp; do
    name=bench_$(basename "$(dirname "$file")")_$(basename "$file" .cpp)
    say "running $name"
    "$build/bench/bench/$name" "${google[@]}"
  done
  for workload in ${workloads//,/ }; do
    "$build/bench/bench/bench_step" "$workload" --seconds "$seconds"
  done
}
