# SPDX-License-Identifier: MIT
# LibTorch, MPI, CUDA and NCCL for the executor, as the target gabra_torch.
#
# LibTorch is PyPI's wheel, by default in build/venv, where scripts/install puts it; any other of the same layout is found
# through CMAKE_PREFIX_PATH. Its own CMake package is not used: it asks for nvcc, which nothing here needs. CUDA's and
# NCCL's headers and libraries come with the wheel, in the versions it was built for; else from the machine.
file(GLOB site_packages "${PROJECT_SOURCE_DIR}/build/venv/lib/python3*/site-packages")

find_path(GABRA_TORCH_INCLUDE ATen/ATen.h HINTS "${site_packages}/torch/include")
cmake_path(GET GABRA_TORCH_INCLUDE PARENT_PATH torch_root)
cmake_path(GET torch_root PARENT_PATH wheels)
find_library(GABRA_TORCH torch HINTS "${torch_root}/lib")
find_library(GABRA_TORCH_CPU torch_cpu HINTS "${torch_root}/lib")
find_library(GABRA_C10 c10 HINTS "${torch_root}/lib")
find_package(MPI QUIET COMPONENTS CXX)
if(NOT GABRA_TORCH_INCLUDE OR NOT GABRA_TORCH OR NOT GABRA_TORCH_CPU OR NOT GABRA_C10 OR NOT MPI_CXX_FOUND)
  message(FATAL_ERROR "GABRA_BUILD_EXEC needs LibTorch (the wheel torch==2.11.0 in build/venv, or CMAKE_PREFIX_PATH) and an "
                      "MPI library (libopenmpi-dev). scripts/install puts both in place; -DGABRA_BUILD_EXEC=OFF leaves the "
                      "executor out.")
endif()

add_library(gabra_torch INTERFACE)
target_include_directories(gabra_torch SYSTEM INTERFACE "${GABRA_TORCH_INCLUDE}")
target_link_libraries(gabra_torch INTERFACE "${GABRA_TORCH}" "${GABRA_TORCH_CPU}" "${GABRA_C10}" MPI::MPI_CXX)
target_compile_definitions(gabra_torch INTERFACE OMPI_SKIP_MPICXX)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # libtorch.so exports parts of the standard library that it was built with, and its std::filesystem::remove_all()
  # jumps to address 0: the system's libstdc++ must come first.
  target_link_options(gabra_torch INTERFACE "LINKER:--push-state,--no-as-needed" -lstdc++ "LINKER:--pop-state")
endif()

if(GABRA_WITH_CUDA)
  find_package(CUDAToolkit QUIET)
  find_library(GABRA_TORCH_CUDA torch_cuda HINTS "${torch_root}/lib")
  find_library(GABRA_C10_CUDA c10_cuda HINTS "${torch_root}/lib")
  find_path(GABRA_CUDA_INCLUDE cuda_runtime_api.h HINTS "${wheels}/nvidia/cu13/include" ${CUDAToolkit_INCLUDE_DIRS})
  find_library(GABRA_CUDART NAMES libcudart.so.13 cudart
               HINTS "${wheels}/nvidia/cu13/lib" ${CUDAToolkit_LIBRARY_DIR} NO_CACHE)
  find_path(GABRA_NCCL_INCLUDE nccl.h HINTS "${wheels}/nvidia/nccl/include" ${CUDAToolkit_INCLUDE_DIRS})
  find_library(GABRA_NCCL NAMES libnccl.so.2 nccl HINTS "${wheels}/nvidia/nccl/lib" ${CUDAToolkit_LIBRARY_DIR})
  foreach(part TORCH_CUDA C10_CUDA CUDA_INCLUDE CUDART NCCL_INCLUDE NCCL)
    if(NOT GABRA_${part})
      message(FATAL_ERROR "GABRA_WITH_CUDA needs a LibTorch with CUDA, a CUDA toolkit and NCCL; missing here: ${part}. The "
                          "wheel torch==2.11.0 brings them all; -DGABRA_WITH_CUDA=OFF leaves CUDA devices out.")
    endif()
  endforeach()
  target_include_directories(gabra_torch SYSTEM INTERFACE "${GABRA_CUDA_INCLUDE}" "${GABRA_NCCL_INCLUDE}")
  # Registers CUDA in LibTorch by being loaded, although no symbol of it may be used.
  target_link_libraries(gabra_torch INTERFACE "-Wl,--no-as-needed,${GABRA_TORCH_CUDA},--as-needed" "${GABRA_C10_CUDA}"
                                              "${GABRA_CUDART}" "${GABRA_NCCL}")
  target_compile_definitions(gabra_torch INTERFACE GABRA_WITH_CUDA)
endif()
mark_as_advanced(GABRA_TORCH_INCLUDE GABRA_TORCH GABRA_TORCH_CPU GABRA_C10 GABRA_TORCH_CUDA GABRA_C10_CUDA
                 GABRA_CUDA_INCLUDE GABRA_NCCL_INCLUDE GABRA_NCCL)
