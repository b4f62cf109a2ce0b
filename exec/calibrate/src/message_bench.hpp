// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/fits.hpp"
#include "gabra/exec/communicator.hpp"
#include "gabra/exec/mpi_world.hpp"

#include <c10/core/Device.h>

#include <map>
#include <utility>
#include <vector>

namespace gabra::exec {

/// Times of messages and all-reduces with nothing else on the ranks: the median over repetitions, by size.
struct MessageTimes {
  std::map<std::pair<int, int>, std::vector<TransferSample>> transfers;
  std::vector<AllReduceSample> all_reduces;
};

struct MessageBenchOptions {
  Bytes largest_all_reduce;
  Seconds time_limit{30.0};  ///< for everything; each size gets its part of it, and at least one repetition
};

/// Between every pair of ranks (half a round trip), and over the first 2, 4, 8, ... and all ranks. Collective over all
/// ranks of `world`; samples at rank 0. Prepares `communicator` for a Program of its own.
[[nodiscard]] MessageTimes time_messages(const MpiWorld& world, Communicator& communicator, c10::Device device,
                                         const MessageBenchOptions& options);

}  // namespace gabra::exec
