# Finds NCCL, which connects several GPUs. Places, in this order:
#   1. TENON_NCCL (CMake or environment): a folder with include/nccl.h and lib/, or a virtual environment that has the wheel
#   2. beside the LibTorch that is used, whose CUDA part may have been built with it
#   3. build/nccl, which the `tenon` script makes
#   4. the CUDA toolkit, and the system
# Can be run as a script, too: cmake [-DTENON_NCCL_NEAR=torch folder] [-DTENON_NCCL_TOOLKIT=folder] -P FindNccl.cmake prints the
# library, or one sentence and a failure.

# INCLUDE and LIBRARY are set, or PROBLEM is one sentence. `near`: LibTorch's folder or nothing; `toolkit`: that of nvcc.
function(tenon_locate_nccl near toolkit out_include out_library out_problem)
  set(wanted "${TENON_NCCL}")
  if(NOT wanted)
    set(wanted "$ENV{TENON_NCCL}")
  endif()
  set(wheel "lib/python3*/site-packages/nvidia/nccl")
  if(wanted)
    file(GLOB folders "${wanted}" "${wanted}/${wheel}" "${wanted}/nvidia/nccl")
    set(problem "TENON_NCCL is ${wanted}, where no include/nccl.h with a libnccl.so.2 was found; point it to NCCL's folder or to a virtual environment that has nvidia-nccl-cu13 (nvidia-nccl-cu12 for CUDA 12)")
  else()
    file(GLOB folders "${near}/../nvidia/nccl" "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../build/nccl/${wheel}")
    list(APPEND folders "${toolkit}" "${toolkit}/targets/x86_64-linux" /usr /usr/local)
    set(problem "NCCL, which connects several GPUs, was not found; pip install nvidia-nccl-cu13 (nvidia-nccl-cu12 for CUDA 12) or apt-get install libnccl-dev, or point TENON_NCCL to a folder that has include/nccl.h and lib/libnccl.so.2")
  endif()
  set(include "")
  set(library "")
  foreach(folder IN LISTS folders)
    file(GLOB found "${folder}/lib/libnccl.so.2" "${folder}/lib64/libnccl.so.2" "${folder}/lib/*-linux-gnu/libnccl.so.2")
    if(found AND EXISTS "${folder}/include/nccl.h")
      list(GET found 0 library)
      set(include "${folder}/include")
      set(problem "")
      break()
    endif()
  endforeach()
  set(${out_include} "${include}" PARENT_SCOPE)
  set(${out_library} "${library}" PARENT_SCOPE)
  set(${out_problem} "${problem}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  tenon_locate_nccl("${TENON_NCCL_NEAR}" "${TENON_NCCL_TOOLKIT}" include library problem)
  if(problem)
    message(FATAL_ERROR "${problem}")
  endif()
  execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${library}")
endif()
