// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <c10/core/Device.h>

#include <string>
#include <vector>

namespace gabra::exec {

/// By rank, the machine it is on, numbered in the order of their first ranks. Collective; the same on all ranks.
[[nodiscard]] std::vector<int> machines_of(const MpiWorld& world);

/// Models of the processors or GPUs of all ranks, each once, in the order of their first ranks. Collective; empty but
/// on rank 0.
[[nodiscard]] std::vector<std::string> device_models(Hardware hardware, const MpiWorld& world);

/// What one device can give to a program: its share of the machine's memory, or the GPU's; the smallest of all ranks.
[[nodiscard]] Bytes device_memory(Hardware hardware, const MpiWorld& world);

/// What LibTorch and MPI take before the first large tensor, the largest of all ranks: resident memory of the process,
/// or what is in use on the GPU once its libraries are loaded. Call first.
[[nodiscard]] Bytes base_memory(Hardware hardware, const MpiWorld& world);

/// Where this rank's tensors are.
[[nodiscard]] c10::Device torch_device(Hardware hardware, const MpiWorld& world);

}  // namespace gabra::exec
