# SPDX-License-Identifier: MIT
# cmake -DSOURCE=... -DOUTPUT=git_id.hpp -P gabra_git_id.cmake: the commit as a header, touched only when it changes.
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE id ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
file(CONFIGURE OUTPUT "${OUTPUT}" @ONLY CONTENT "#pragma once\n#define GABRA_GIT_ID \"${id}\"\n")
