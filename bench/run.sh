# Sourced by ../tenon: run_bench [OPTIONS]. Builds what is asked for and runs it:
#   (nothing)      the step of each workload beside its floor and the hand-written LibTorch loop (bench/compare.py)
#   --peers        beside Python torch, too: eager, torch.compile, and that with max-autotune
#   --kernels      the kernel benchmarks (bench/<room>/*.cpp), with options of Google Benchmark
#   --split [W]    where the time of a workload's step goes (bench/split)
#   --gemm         the step with each matrix product that can be had here (bench/gemm.py); ./tenon doctor reads the result
#   --tokenizer    encoding beside Python's tokenizers and tiktoken, ids compared (bench/data/tokenizer.py)
#   --gpu          the step of two shapes on a GPU; with --peers beside PyTorch eager and torch.compile there (bench/gpu)
#   --ranks [N]    the quickstart's first 40 steps on one rank and on N (2) of this machine (bench/ranks.py)
#   --zero         instructions of the generic step against the same kernels called by hand (bench/zero)
# TENON_BENCH_PYTHON: a Python with torch, numpy, safetensors (matplotlib for the chart), to do without the download.
bench_usage() {
  cat <<'END'
./tenon bench [--peers] [--workloads LIST] [--rounds N] [--seconds S] [--threads N] [--blas mkl|openblas|mkl-fast] [--out DIR]
./tenon bench --kernels [--benchmark_filter=REGEX and other options of Google Benchmark]
./tenon bench --split [WORKLOAD] [--threads N] [--seconds S]
./tenon bench --gemm [--rounds N] [--seconds S] [--threads N]
./tenon bench --tokenizer [--rounds N] [--megabytes N] [--out DIR]
./tenon bench --gpu [--peers] [--rounds N]
./tenon bench --ranks [N]
./tenon bench --zero
Workloads: w0, w1, w1b, w2, w4, quickstart, decode.   --peers downloads Python torch (5 GB) unless TENON_BENCH_PYTHON has it.
END
}

run_bench() {
  local peers='' gpu='' kernels='' zero='' gemm='' split='' tokenizer='' blas=mkl out=$build/bench/results google=() options=() command="./tenon bench${*:+ $*}"
  while [ $# -gt 0 ]; do
    case $1 in
      --peers) peers=1 ;;
      --kernels) kernels=1 ;;
      --gpu) gpu=1 ;;
      --ranks)
        local ranks=2
        case ${2:-} in [1-9]*) ranks=$2 ;; esac
        python3 "$root/bench/ranks.py" --tenon "$root/tenon" --dir "$build/bench-ranks" --ranks "$ranks"
        return
        ;;
      --zero) zero=1 ;;
      --gemm) gemm=1 ;;
      --tokenizer) tokenizer=1 ;;
      --split)
        split=w1b
        case ${2:-} in '' | -*) ;; *) split=$2; shift ;; esac
        ;;
      --workloads | --rounds | --seconds | --threads | --megabytes | --blas | --out)
        [ $# -ge 2 ] || die "$1 takes a value; see './tenon bench --help'"
        case $1 in
          --blas) blas=$2 ;;
          --out) out=$2 ;;
          *) options+=("$1" "$2") ;;
        esac
        shift
        ;;
      --benchmark_*) google+=("$1") kernels=1 ;;
      -h | --help) bench_usage; return ;;
      *) die "'$1' is no option of './tenon bench'; see './tenon bench --help'" ;;
    esac
    shift
  done
  case $blas in mkl | openblas | mkl-fast) ;; *) die "--blas takes mkl, openblas or mkl-fast, not '$blas'" ;; esac
  [ "$blas" != openblas ] || packages bench 'ldconfig -p | grep -q libopenblas.so : libopenblas0-openmp'
  packages bench 'header benchmark/benchmark.h : libbenchmark-dev'
  [ -z "$zero" ] || packages bench 'has valgrind : valgrind'
  prepare
  if [ -n "$zero" ]; then
    run_zero
    return
  fi
  if [ -n "$gemm" ]; then
    run_gemm "${options[@]}"
    return
  fi
  configure bench -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF
  say 'building the benchmarks (a few minutes the first time)'
  if [ -n "$kernels" ]; then
    run_kernels
  elif [ -n "$tokenizer" ]; then
    run_tokenizer "$out" "${options[@]}" --command "$command"
  elif [ -n "$gpu" ]; then
    run_gpu
  elif [ -n "$split" ]; then
    make_target bench bench_split
    exec 9>&-
    "$build/bench/bench/bench_split" "$split" "${options[@]}"
  else
    run_comparison
  fi
}

run_zero() {  # callgrind knows no AVX-512, so in a build of its own
  say 'configuring and building build/bench-zero for AVX2'
  step configure-zero cmake -S "$root" --preset bench -B "$build/bench-zero" -DCMAKE_CXX_COMPILER="$cxx" -DTENON_LIBTORCH="$torch" \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF -DTENON_ISA=AVX2
  step build-zero cmake --build "$build/bench-zero" --target bench_zero
  exec 9>&-
  "$root/bench/zero/zero.sh" "$build/bench-zero/bench/bench_zero"
}

run_gemm() {  # a build for each product: what a program calls is decided when it is linked
  local name dir options programs=() folder=$build/bench-gemm
  packages bench '[ -n "$(ls -d /usr/lib/*/openblas-openmp 2>/dev/null)" ] : libopenblas0-openmp' '[ -n "$(ls -d /usr/lib/*/blis-openmp 2>/dev/null)" ] : libblis4-openmp'
  for name in own torch openblas blis; do
    options=(-DTENON_GEMM=library "-DTENON_BLAS=$name") dir=$folder/$name
    [ "$name" != own ] || options=(-DTENON_GEMM=own)
    say "building the step with the product '$name' (a minute the first time)"
    step "configure-gemm-$name" cmake -S "$root" --preset bench -B "$dir" -DCMAKE_CXX_COMPILER="$cxx" -DTENON_LIBTORCH="$torch" \
      -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DTENON_BENCH=ON -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF "${options[@]}"
    step "build-gemm-$name" cmake --build "$dir" --target bench_products
    programs+=(--program "$name=$dir/bench/bench_products")
  done
  exec 9>&-
  case " $* " in *' --threads '*) ;; *) set -- "$@" --threads "$(nproc)" ;; esac
  python3 "$root/bench/gemm.py" "${programs[@]}" --out "$build/bench-gemm/milliseconds.txt" "$@"
}

run_gpu() {
  local with=()
  nvcc_found || die "there is no nvcc, and without it nothing is built for a GPU; install NVIDIA's CUDA toolkit, or point TENON_NVCC to its nvcc"
  make_target bench bench_gpu
  exec 9>&-
  [ -n "$(nvidia-smi -L 2>/dev/null)" ] || die "the benchmark is built ($build/bench/bench/bench_gpu), and no GPU was found to run it on; look at nvidia-smi"
  if [ -n "$peers" ]; then
    [ -n "${TENON_BENCH_PYTHON:-}" ] || { room 12; venv benchenv numpy safetensors matplotlib torch==2.13.0; }
    with=(--python "${TENON_BENCH_PYTHON:-$build/benchenv/bin/python}")
  fi
  python3 "$root/bench/gpu/gpu.py" --program "$build/bench/bench/bench_gpu" --dir "$build/bench/gpu" "${with[@]}" "${options[@]}"
}

run_kernels() {
  local file name
  make_target bench bench_kernels
  exec 9>&-  # the build is done; others may start theirs
  for file in "$root"/bench/exec/*.cpp "$root"/bench/optim/*.cpp; do
    name=bench_$(basename "$(dirname "$file")")_$(basename "$file" .cpp)
    say "running $name"
    "$build/bench/bench/$name" "${google[@]}"
  done
}

# unpacked FOLDER PACKAGE...: Debian packages of plain text, unpacked below build/bench and not installed.
unpacked() {
  local folder=$build/bench/$1 archive
  shift
  [ ! -e "$folder/complete" ] && has apt-get && has dpkg-deb || return 0
  rm -rf "$folder" && mkdir -p "$folder"
  (cd "$folder" && step "unpacked-$1" apt-get download "$@" && for archive in *.deb; do dpkg-deb -x "$archive" .; done && touch complete)
}

run_tokenizer() {  # code: LibTorch's headers; English: fortunes; Chinese: translated manual pages
  local english=() chinese=() out=$1
  shift
  make_target bench bench_tokenizer
  venv tokenizerenv tokenizers tiktoken numpy
  unpacked english fortunes fortunes-min
  unpacked chinese manpages-zh
  exec 9>&-
  mapfile -t english < <(find "$build/bench/english" -path '*/fortunes/*' -type f ! -name '*.*' 2>/dev/null | sort)
  mapfile -t chinese < <(find "$build/bench/chinese" -path '*zh_CN*' -name '*.gz' -type f 2>/dev/null | sort)
  [ ${#english[@]} -gt 0 ] || say "no English text was found (Debian's package fortunes); that line is left out"
  [ ${#chinese[@]} -gt 0 ] || say "no Chinese text was found (Debian's package manpages-zh); that line is left out"
  "$build/tokenizerenv/bin/python" "$root/bench/data/tokenizer.py" "$build/bench/bench/bench_tokenizer" --code "$torch/include/ATen" \
    --english "${english[@]}" --chinese "${chinese[@]}" --out "$out" "$@"
}

run_comparison() {
  local python=${TENON_BENCH_PYTHON:-} runner=python3 with=()
  make_target bench bench_compared
  if [ -n "$peers" ]; then
    if [ -z "$python" ]; then
      [ -x "$build/benchenv/bin/python" ] || room 12
      venv benchenv numpy safetensors matplotlib torch==2.13.0
      python=$build/benchenv/bin/python
    fi
    "$python" -c 'import torch, numpy, safetensors' 2>"$log/bench-python.log" || die "$python cannot import torch, numpy and safetensors ($(tail -n 1 "$log/bench-python.log")); unset TENON_BENCH_PYTHON, or install them there"
    # torch.compile builds C++ against Python's headers.
    "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
      packages 'torch.compile' 'false : python3-dev'
    runner=$python with=(--python "$python")
  fi
  exec 9>&-
  mkdir -p "$out"
  CXX=$cxx "$runner" "$root/bench/compare.py" --bin "$build/bench/bench" "${with[@]}" --blas "$blas" "${options[@]}" --out "$out" --command "$command"
}
