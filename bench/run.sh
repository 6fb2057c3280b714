# Sourced by ../tenon: run_bench [options of Google Benchmark]. Builds and runs every bench/<room>/*.cpp.
run_bench() {
  local file name
  prepare
  configure bench -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF
  say 'building the benchmarks'
  make_target bench all
  for file in "$root"/bench/*/*.cpp; do
    name=bench_$(basename "$(dirname "$file")")_$(basename "$file" .cpp)
    say "running $name"
    "$build/bench/bench/$name" "$@"
  done
}
