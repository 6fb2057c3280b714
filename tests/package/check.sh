#!/usr/bin/env bash
# check.sh WAY SOURCE BUILD COMPILER LIBTORCH BOOST: an outside project uses tenon in this way; it must configure, build and run.
set -euo pipefail
export BOOST_ROOT=${6%/include}
way=$1 source=$2 build=$3/package/$1 compiler=$4 torch=$5
rm -rf "$build"
mkdir -p "$build"
configure() { cmake -G Ninja -B "$build/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" "$@"; }
installed() {
  cmake -G Ninja -S "$source" -B "$build/tenon" -DCMAKE_CXX_COMPILER="$compiler" -DTENON_TESTS=OFF -DTENON_EXAMPLES=OFF -DTENON_COMPONENTS=recipe
  cmake --install "$build/tenon" --prefix "$build/prefix"
}
case $way in
  find_package | add_subdirectory | FetchContent)
    [ "$way" != find_package ] || installed
    configure -S "$source/tests/package/recipe_only" -DHOW="$way" -DTENON_SOURCE="$source" -DCMAKE_PREFIX_PATH="$build/prefix"
    cmake --build "$build/build"
    "$build/build/recipe_only"
    ;;
  missing_libtorch)  # asked for and not there: a sentence of ours, not CMake's riddle
    installed
    mkdir "$build/empty"
    if configure -S "$source/examples/cmake_project" -DCMAKE_PREFIX_PATH="$build/prefix" -DTENON_LIBTORCH="$build/empty" >"$build/out" 2>&1; then
      echo 'configured without a LibTorch'
      exit 1
    fi
    cat "$build/out"
    tr -s ' \n' ' ' <"$build/out" | grep -q "where no lib/libtorch_cpu.so was found; point it to a torch folder"
    ;;
  two_libtorchs)
    mkdir -p "$build/other/lib" "$build/project"
    touch "$build/other/lib/libtorch_cpu.so"
    cat >"$build/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(two LANGUAGES CXX)
add_library(torch_cpu SHARED IMPORTED)
set_target_properties(torch_cpu PROPERTIES IMPORTED_LOCATION "$build/other/lib/libtorch_cpu.so")
set(TENON_REQUIRE ON)
add_subdirectory("$source" tenon)
END
    if configure -S "$build/project" -DTENON_LIBTORCH="$torch" >"$build/out" 2>&1; then
      echo 'configured with two LibTorchs'
      exit 1
    fi
    cat "$build/out"
    tr -s ' \n' ' ' <"$build/out" | grep -q "two different LibTorchs in one project"
    ;;
  train)  # the example as its reader uses it: install, find_package, train on a text of one's own
    installed
    configure -S "$source/examples/cmake_project" -DCMAKE_PREFIX_PATH="$build/prefix" -DTENON_LIBTORCH="$torch"
    cmake --build "$build/build"
    mkdir "$build/run"
    cd "$build/run"
    mkdir texts
    for i in $(seq 40); do
      for j in $(seq 60); do echo "letter $i, line $j: $(printf "\\$(printf %o $((97 + (i * j) % 26)))") comes after the one before it."; done >"texts/$i.txt"
    done
    "$build/build/letters" --data texts --steps 20
    ;;
  plan)  # ./tenon plan and ./tenon fit in a checkout that has no LibTorch and may fetch none
    for file in include cmake examples CMakeLists.txt CMakePresets.json; do ln -s "$source/$file" "$build/$file"; done
    cp "$source/tenon" "$build/tenon"
    mkdir "$build/TinyLlama-1.1B"
    cat >"$build/TinyLlama-1.1B/config.json" <<END
{"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 5632,
 "max_position_embeddings": 2048, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 22, "num_key_value_heads": 4,
 "rms_norm_eps": 1e-05, "rope_scaling": null, "tie_word_embeddings": false, "torch_dtype": "float32", "vocab_size": 32000}
END
    cd "$build"
    tenon() { env -u TENON_LIBTORCH PIP_NO_INDEX=1 PIP_CONFIG_FILE=/dev/null CXX="$compiler" ./tenon "$@"; }
    tenon fit TinyLlama-1.1B --on a100_40 --take 1 --out fitted.hpp 2>&1 | tee out
    grep -q '6,144 candidates judged' out
    grep -q 'fitted.hpp compiles: it is legal, and it fits' out
    tenon plan fitted.hpp --symbol TinyLlama_1_1B_fit 2>&1 | tee out
    grep -q 'parameters  1,100,048,384;' out
    grep -q 'left free: fits' out
    if tenon fit TinyLlama-1.1B --on a100_40 --take 1 --out fitted.hpp >out 2>&1; then echo 'written over a file'; exit 1; fi
    grep -q 'is there already' out
    if tenon plan fitted.hpp --on a100 >out 2>&1; then echo 'a target that there is not'; exit 1; fi
    grep -q "there is no target 'a100'; there are: native cpu h100" out
    echo '{"model_type": "mixtral"}' >TinyLlama-1.1B/config.json
    if tenon fit TinyLlama-1.1B >out 2>&1; then echo 'another model'; exit 1; fi
    grep -q 'is of model_type "mixtral"' out
    if [ -e build/libtorch ] || ldd build/plan/plans/* | grep -qi torch; then echo 'LibTorch is here'; exit 1; fi
    ;;
  *) echo "there is no way '$way'"; exit 1 ;;
esac
