// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/mpi_world.hpp"

#include <mpi.h>

namespace gabra::exec {

struct MpiWorld::Native {
  MPI_Comm comm = MPI_COMM_NULL;
};

}  // namespace gabra::exec
