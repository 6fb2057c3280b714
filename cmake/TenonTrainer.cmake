# tenon_add_trainer(NAME RECIPE header.hpp [SYMBOL name] [MAIN main.cpp] [RANKS n] [REHEARSAL] [CUDA])
#   NAME        the program: one small unit that runs the recipe SYMBOL (default: the header's name)
#               RANKS n: on several ranks. A recipe of one process becomes one of n (tenon::on_ranks); for a recipe that says
#               parallel::ddp itself, any n
#               REHEARSAL: the small run of the same types (R.rehearsal()), called SYMBOL_rehearsal
#               CUDA: for a recipe whose target is a GPU; needs the component cuda, which is nvcc, and with RANKS the
#               component nccl
#   NAME_check  compiles the recipe alone, without LibTorch, first: its errors come in about a second, before anything big
include_guard(GLOBAL)
option(TENON_PCH "Trainers share one precompiled header" ON)

# The target whose precompiled <tenon/tenon.hpp> the trainers share, made on the first call; OUT is empty where there is none.
function(tenon_precompiled out)
  set(${out} "" PARENT_SCOPE)
  if(TENON_PCH)
    if(NOT TARGET tenon_pch)
      file(CONFIGURE OUTPUT tenon_pch.cpp CONTENT "// Exists so that its precompiled header does.\n")
      add_library(tenon_pch OBJECT EXCLUDE_FROM_ALL "${CMAKE_CURRENT_BINARY_DIR}/tenon_pch.cpp")
      target_link_libraries(tenon_pch PRIVATE tenon::train)
      target_precompile_headers(tenon_pch PRIVATE <tenon/tenon.hpp>)
    endif()
    set(${out} tenon_pch PARENT_SCOPE)
  endif()
endfunction()

function(tenon_add_trainer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "REHEARSAL;CUDA" "RECIPE;SYMBOL;MAIN;RANKS" "")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_RECIPE)
    message(FATAL_ERROR "tenon_add_trainer(${name} ...): write tenon_add_trainer(NAME RECIPE header.hpp [SYMBOL name] [MAIN main.cpp] [RANKS n] [REHEARSAL] [CUDA])")
  endif()
  if(NOT TARGET tenon::train)
    message(FATAL_ERROR "tenon_add_trainer(${name} ...): a trainer needs the component train; write find_package(tenon REQUIRED COMPONENTS train)")
  endif()
  if(arg_CUDA)
    tenon_component(cuda problem)
    if(problem)
      message(FATAL_ERROR "the trainer ${name} is for a GPU: ${problem}; or give its recipe target::native{}")
    endif()
    if(DEFINED arg_RANKS)
      tenon_component(nccl problem)
      if(problem)
        message(FATAL_ERROR "the trainer ${name} is for ranks on several GPUs: ${problem}; or give its recipe parallel::single{}")
      endif()
    endif()
  endif()
  get_filename_component(header "${arg_RECIPE}" ABSOLUTE)
  if(NOT EXISTS "${header}")
    message(FATAL_ERROR "tenon_add_trainer(${name} ...): there is no recipe ${header}")
  endif()
  if(NOT arg_SYMBOL)
    get_filename_component(arg_SYMBOL "${header}" NAME_WE)
  endif()
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/tenon_${name}")  # never the program's own path
  set(parallel "")
  set(derived "")
  if(arg_CUDA)
    set(cuda "#include <tenon/cuda.hpp>\n")
  else()
    set(cuda "")
  endif()
  if(arg_REHEARSAL)
    string(REGEX REPLACE "^.*::" "" short "${arg_SYMBOL}")
    string(APPEND derived "inline constexpr auto ${short}_rehearsal = tenon::rehearse(::${arg_SYMBOL});\n")
    set(arg_SYMBOL "${short}_rehearsal")
  endif()
  if(DEFINED arg_RANKS)
    string(REGEX REPLACE "^.*::" "" short "${arg_SYMBOL}")
    set(parallel "#include <tenon/parallel.hpp>\n")
    string(APPEND derived "namespace on_ranks { inline constexpr auto ${short} = tenon::on_ranks(::${arg_SYMBOL}, ${arg_RANKS}); }\n")
    set(arg_SYMBOL "on_ranks::${short}")
  endif()
  file(CONFIGURE OUTPUT "${dir}/check.cpp" @ONLY CONTENT "#include <tenon/recipe.hpp>
#include \"@header@\"
@derived@static_assert(tenon::legal<@arg_SYMBOL@>);
")
  add_library(${name}_check OBJECT "${dir}/check.cpp")
  target_link_libraries(${name}_check PRIVATE tenon::recipe)
  get_property(cmake GLOBAL PROPERTY TENON_CMAKE_DIR)
  target_include_directories(${name}_check BEFORE PRIVATE "${cmake}/check")  # its tenon/tenon.hpp leaves LibTorch out
  # A recipe that brings a torch module includes LibTorch's headers itself; its check takes as long as they do.
  target_include_directories(${name}_check SYSTEM PRIVATE "$<TARGET_PROPERTY:tenon_libtorch,INTERFACE_INCLUDE_DIRECTORIES>")
  if(arg_MAIN)
    get_filename_component(main "${arg_MAIN}" ABSOLUTE)
  else()
    set(main "${dir}/main.cpp")
    file(CONFIGURE OUTPUT "${main}" @ONLY CONTENT "#include <tenon/tenon.hpp>
@parallel@@cuda@#include \"@header@\"
@derived@int main(int argc, char** argv) { return tenon::run<@arg_SYMBOL@>(argc, argv); }
")
  endif()
  add_executable(${name} "${main}")
  target_link_libraries(${name} PRIVATE tenon::train)
  if(arg_CUDA AND DEFINED arg_RANKS)
    target_link_libraries(${name} PRIVATE tenon::nccl)
  elseif(arg_CUDA)
    target_link_libraries(${name} PRIVATE tenon::cuda)
  endif()
  add_dependencies(${name} ${name}_check)
  tenon_precompiled(pch)
  if(pch)
    target_precompile_headers(${name} REUSE_FROM ${pch})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${name} PRIVATE -fpch-preprocess)  # lets ccache see through it
    endif()
  endif()
endfunction()

# A recipe that ./tenon was once asked to train; left out when its file has gone since.
function(tenon_recipe_outside name header symbol)  # [RANKS n]
  if(EXISTS "${header}")
    tenon_add_trainer(${name} RECIPE "${header}" SYMBOL "${symbol}" ${ARGN})
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/trainers")
    set_target_properties(${name}_check PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endfunction()

# A program that generates from the model of the recipe SYMBOL in HEADER (./tenon generate makes it); forward code only.
function(tenon_generator_outside name header symbol)
  if(EXISTS "${header}")
    set(main "${CMAKE_CURRENT_BINARY_DIR}/tenon_${name}/main.cpp")
    file(CONFIGURE OUTPUT "${main}" @ONLY CONTENT "#include <tenon/app/generate.hpp>
#include \"@header@\"
int main(int argc, char** argv) { return tenon::app::generate<@symbol@>(argc, argv); }
")
    add_executable(${name} EXCLUDE_FROM_ALL "${main}")
    target_link_libraries(${name} PRIVATE tenon::train)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/trainers")
  endif()
endfunction()

# tenon_add_plan(NAME RECIPE header.hpp [SYMBOL name] [ON policy] [VERB plan|fit|describe])
#   NAME: the torch-free program that plans a recipe, looks for what fits (VERB fit), or says what the recipe says (VERB
#   describe); ON: a target, as C++ writes it, instead of the recipe's.
function(tenon_add_plan name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "RECIPE;SYMBOL;ON;VERB" "")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_RECIPE)
    message(FATAL_ERROR "tenon_add_plan(${name} ...): write tenon_add_plan(NAME RECIPE header.hpp [SYMBOL name] [ON policy] [VERB plan|fit|describe])")
  endif()
  get_filename_component(header "${arg_RECIPE}" ABSOLUTE)
  if(NOT EXISTS "${header}")
    message(FATAL_ERROR "tenon_add_plan(${name} ...): there is no recipe ${header}")
  endif()
  if(NOT arg_SYMBOL)
    get_filename_component(arg_SYMBOL "${header}" NAME_WE)
  endif()
  if(NOT arg_VERB)
    set(arg_VERB plan)
  endif()
  set(planned "${arg_SYMBOL}")
  set(elsewhere "")
  if(arg_ON)
    set(planned tenon_elsewhere)
    set(elsewhere "inline constexpr auto tenon_elsewhere = ${arg_SYMBOL}.replace(tenon::target::${arg_ON});\n")
  endif()
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/tenon_${name}")
  file(CONFIGURE OUTPUT "${dir}/main.cpp" @ONLY CONTENT "#include <tenon/tenon.hpp>
#include \"@header@\"
#include <tenon/app/@arg_VERB@_program.hpp>
@elsewhere@int main(int argc, char** argv) {
  return tenon::app::@arg_VERB@_main<@planned@>(argc, argv, {\"@header@\", \"@arg_SYMBOL@\", \"@arg_ON@\"});
}
")
  add_executable(${name} "${dir}/main.cpp")
  target_link_libraries(${name} PRIVATE tenon::recipe)
  get_property(cmake GLOBAL PROPERTY TENON_CMAKE_DIR)
  target_include_directories(${name} BEFORE PRIVATE "${cmake}/check")  # its tenon/tenon.hpp leaves LibTorch out
endfunction()

# tenon_add_diff(NAME HEADER SYMBOL OTHER_HEADER OTHER_SYMBOL): the torch-free program that says in what two recipes differ.
function(tenon_add_diff name header symbol other other_symbol)
  set(includes "#include \"${header}\"\n")
  if(NOT header STREQUAL other)
    string(APPEND includes "#include \"${other}\"\n")
  endif()
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/tenon_${name}")
  file(CONFIGURE OUTPUT "${dir}/main.cpp" @ONLY CONTENT "#include <tenon/tenon.hpp>
@includes@#include <tenon/app/describe_program.hpp>
int main(int argc, char** argv) { return tenon::app::diff_main<@symbol@, @other_symbol@>(argc, argv); }
")
  add_executable(${name} "${dir}/main.cpp")
  target_link_libraries(${name} PRIVATE tenon::recipe)
  get_property(cmake GLOBAL PROPERTY TENON_CMAKE_DIR)
  target_include_directories(${name} BEFORE PRIVATE "${cmake}/check")
endfunction()

# Two recipes that ./tenon was once asked to compare; left out when a file has gone since.
function(tenon_diff_outside name header symbol other other_symbol)
  if(EXISTS "${header}" AND EXISTS "${other}")
    tenon_add_diff(${name} "${header}" "${symbol}" "${other}" "${other_symbol}")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plans")
  endif()
endfunction()

# What ./tenon was once asked to plan, to fit or to describe; left out when its file has gone since.
function(tenon_plan_outside name header symbol on verb)
  if(EXISTS "${header}")
    tenon_add_plan(${name} RECIPE "${header}" SYMBOL "${symbol}" ON "${on}" VERB ${verb})
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plans")
  endif()
endfunction()
