# SPDX-License-Identifier: MIT
# Installs BUILD to a new folder under WORK, then configures, builds and runs PROJECT against it, and the command.
foreach(name BUILD PROJECT WORK COMPILER)
  if(NOT DEFINED ${name})
    message(FATAL_ERROR "${name} is not given")
  endif()
endforeach()

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "ended with ${status}: ${ARGV}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/installed)
# What is installed must not know the folders that it came from.
file(GLOB_RECURSE packages "${WORK}/installed/lib*/cmake/gabra/*.cmake")
foreach(file ${packages})
  file(READ "${file}" text)
  string(FIND "${text}" "${BUILD}" place)
  if(NOT place EQUAL -1)
    message(FATAL_ERROR "${file} names the build folder")
  endif()
endforeach()
run(${CMAKE_COMMAND} -G Ninja -S ${PROJECT} -B ${WORK}/build -DCMAKE_PREFIX_PATH=${WORK}/installed
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_BUILD_TYPE=Debug)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
run(${WORK}/installed/bin/gabra optimize --network 3d-resattnet-18:width=8,input=1x32x32x32 --cluster workstation-2
    --global-batch 8 --seed 1 --quiet -o ${WORK}/plan.json)
file(REMOVE_RECURSE "${WORK}")
