# SPDX-License-Identifier: MIT
message(STATUS "gabra ${PROJECT_VERSION}: sim ${GABRA_BUILD_SIM}, tests ${GABRA_BUILD_TESTS}, "
               "warnings are errors ${GABRA_WERROR}, data ${GABRA_DATA_DIR}")
