# SPDX-License-Identifier: MIT
# LibTorch, MPI, CUDA and NCCL for the executor: the target gabra_torch. LibTorch is the wheel of PyPI, by default in
# build/venv, where scripts/install puts it; so is a CUDA toolkit where the machine has none.
file(GLOB site_packages "${PROJECT_SOURCE_DIR}/build/venv/lib/python3*/site-packages")
if(site_packages)
  list(APPEND CMAKE_PREFIX_PATH "${site_packages}/torch/share/cmake")
endif()

find_program(GABRA_NVCC nvcc PATHS /usr/local/cuda/bin)
mark_as_advanced(GABRA_NVCC)
if(NOT GABRA_NVCC AND EXISTS "${site_packages}/nvidia/cu13/bin/nvcc")
  set(ENV{CUDACXX} "${site_packages}/nvidia/cu13/bin/nvcc")
  set(CUDA_TOOLKIT_ROOT_DIR "${site_packages}/nvidia/cu13" CACHE PATH "CUDA toolkit, from PyPI")
  set(CUDAToolkit_ROOT "${site_packages}/nvidia/cu13")
elseif(GABRA_NVCC)
  set(ENV{CUDACXX} "${GABRA_NVCC}")
endif()
# Nothing here is compiled by nvcc; LibTorch's package asks for an architecture all the same.
if(NOT DEFINED TORCH_CUDA_ARCH_LIST)
  set(TORCH_CUDA_ARCH_LIST "8.0;9.0")
endif()

find_package(Torch 2.11 QUIET)
find_package(MPI QUIET COMPONENTS CXX)
if(NOT Torch_FOUND OR NOT MPI_CXX_FOUND)
  message(FATAL_ERROR "GABRA_BUILD_EXEC needs LibTorch 2.11 (wheel torch==2.11.0 in build/venv or on CMAKE_PREFIX_PATH) and "
                      "an MPI library (libopenmpi-dev). scripts/install puts both in place; -DGABRA_BUILD_EXEC=OFF leaves "
                      "the executor out.")
endif()

add_library(gabra_torch INTERFACE)
target_link_libraries(gabra_torch INTERFACE torch MPI::MPI_CXX)
target_include_directories(gabra_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_compile_definitions(gabra_torch INTERFACE OMPI_SKIP_MPICXX)
if(GABRA_WITH_CUDA)
  find_path(GABRA_NCCL_INCLUDE nccl.h HINTS "${site_packages}/nvidia/nccl/include")
  find_library(GABRA_NCCL_LIBRARY NAMES nccl libnccl.so.2 HINTS "${site_packages}/nvidia/nccl/lib")
  mark_as_advanced(GABRA_NCCL_INCLUDE GABRA_NCCL_LIBRARY)
  if(NOT GABRA_NCCL_INCLUDE OR NOT GABRA_NCCL_LIBRARY)
    message(FATAL_ERROR "GABRA_WITH_CUDA needs NCCL: the wheel nvidia-nccl-cu13 in build/venv, or libnccl-dev")
  endif()
  target_include_directories(gabra_torch SYSTEM INTERFACE "${GABRA_NCCL_INCLUDE}")
  target_link_libraries(gabra_torch INTERFACE "${GABRA_NCCL_LIBRARY}")
  target_compile_definitions(gabra_torch INTERFACE GABRA_WITH_CUDA)
endif()
