// SPDX-License-Identifier: MIT
#pragma once

namespace gabra::exec {

/// Throws DeviceError with the call, MPI's text, its code and the rank, unless `code` is MPI_SUCCESS. The one place
/// where a code of MPI becomes an error.
void check_mpi(int code, const char* call);

}  // namespace gabra::exec
