# SPDX-License-Identifier: MIT
if(GABRA_ONNX_INCLUDE AND GABRA_ONNX_PROTO AND GABRA_PROTOBUF)
  set(onnx "ON")
else()
  set(onnx "OFF (libonnx-dev or libprotobuf-dev is missing)")
endif()
message(STATUS "gabra ${PROJECT_VERSION}: sim ${GABRA_BUILD_SIM}, exec ${GABRA_BUILD_EXEC} (CUDA ${GABRA_WITH_CUDA}), ONNX ${onnx}, tests ${GABRA_BUILD_TESTS}, "
               "warnings are errors ${GABRA_WERROR}, data ${GABRA_DATA_DIR}")
