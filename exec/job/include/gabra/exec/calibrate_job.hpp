// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/job.hpp"
#include "gabra/plan/problem.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gabra::exec {

/// `gabra calibrate` on ranks.
struct CalibrateJob {
  std::shared_ptr<const Network> network;
  std::vector<std::int64_t> micro_batches;  ///< ascending, at least one
  TrainingSettings training;  ///< precision, optimizer, gradient sum; the global batch follows from the plans
  Hardware hardware = Hardware::Cpu;
  std::int64_t devices = 2;  ///< as many ranks
  std::int64_t threads_per_rank = 1;
  double confidence = 0.02;   ///< half the 95 % interval of the median pass, relative: narrow enough to stop
  Seconds time_limit{120.0};  ///< or this long
  Seconds timeout{600.0};     ///< a transfer without progress for so long is a failure
  std::uint64_t seed = 0;     ///< of weights and samples
  std::string machine_file;   ///< gabra/cluster/1
  std::string profile_file;   ///< gabra/profile/1; empty: none
  bool is_json = false;
  bool is_quiet = false;
};

}  // namespace gabra::exec
