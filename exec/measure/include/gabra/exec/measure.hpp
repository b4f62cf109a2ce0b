// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/exec/job.hpp"
#include "gabra/exec/monitor.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/plan/infeasible.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace gabra::exec {

/// What the ranks of a job compute with.
struct MeasureDevices {
  Hardware hardware = Hardware::Cpu;
  std::int64_t threads_per_rank = 1;
};

/// How one plan is measured.
struct MeasureOptions {
  std::int64_t warm_up = 2;  ///< steps that do not count, at least 1
  std::int64_t steps = 5;    ///< that count, at least 1
  /// Above `steps`: disturbances are looked for (Measurement::slowness), and steps go on until so many were taken
  /// without one, or until there are this many in all.
  std::int64_t most_steps = 0;
  /// Clearly worse: once two steps have counted, and all that did took longer than this, the rest is left out.
  std::optional<Seconds> give_up_above{};
  /// A step (warm-up too) that takes longer is the last one; a transfer without progress for so long is a DeviceError.
  Seconds step_limit{60.0};
  std::uint64_t seed = 0;        ///< of weights and samples
  bool keeps_timelines = false;  ///< of every step that counts
};

/// What one device of the plan did.
struct DeviceMeasurement {
  DeviceId device;
  int rank = 0;                    ///< of the job
  Bytes peak_memory;               ///< of tensors, after the first warm-up step
  std::vector<Seconds> own_steps;  ///< its own time of every step that counts, waiting included
};

/// A plan on real devices; at rank 0 of the job.
struct Measurement {
  enum class End : std::uint8_t {
    Complete,
    GaveUp,    ///< clearly worse: fewer steps than asked for
    OverLimit  ///< a step took longer than the limit
  };
  End end = End::Complete;
  Program program;             ///< what ran
  std::vector<Seconds> steps;  ///< that counted: the slowest device's time of each; at least one
  /// Of each of `steps`, where that was asked for: how much longer a fixed piece of work took right before or after it
  /// than it ever did, on the most disturbed rank; 1 is undisturbed. Who shares the machine slows it down in bursts.
  std::vector<double> slowness;
  Seconds median;  ///< of steps; of the undisturbed ones, where disturbances were looked for
  /// Of the step nearest to the median: what of the Program ran when, on rank 0's clock, from its first instruction.
  Timeline timeline;
  std::vector<Timeline> timelines;         ///< of all `steps`, where that was asked for
  Seconds outside;                         ///< that step's time without its timeline: what a step costs besides
  std::vector<DeviceMeasurement> devices;  ///< as Program::devices
  /// Of that timeline, as the simulator's; its `step` is the median. Peak memory is measured (tensors) plus what the
  /// device's kind states as base.
  StepReport report;
};

/// Runs plans on the ranks of this job, one after another, on random samples. Every call is collective over all ranks.
///
/// A plan may use fewer devices than there are ranks: those of the others wait without using a core. Device d of the
/// cluster is rank d where there is a rank for every device of the cluster, else rank r is the r-th device that the
/// plan uses. Ranks agree after every step whether to go on, so none is left waiting.
class PlanMeasurer {
 public:
  /// Takes LibTorch's settings for this process: memory, threads, cores. `world` and `monitor` (may be null: nobody
  /// says what a rank waits for) must outlive it.
  PlanMeasurer(const MpiWorld& world, const MeasureDevices& devices, Monitor* monitor = nullptr);
  ~PlanMeasurer();
  PlanMeasurer(const PlanMeasurer&) = delete;
  PlanMeasurer& operator=(const PlanMeasurer&) = delete;

  /// The measurement at rank 0 (none elsewhere), or, on all ranks, why the plan cannot be compiled for its devices
  /// or run (batch norm of a single value).
  /// Throws InputError on all ranks: too few ranks, opaque layers, a network that no samples can be made for. Throws
  /// DeviceError, and what LibTorch throws for a lack of memory, on any rank: the job cannot go on.
  [[nodiscard]] std::variant<std::optional<Measurement>, Infeasible> measure(const Problem& problem, const Plan& plan,
                                                                             const MeasureOptions& options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One plan, with a PlanMeasurer of its own.
[[nodiscard]] std::variant<std::optional<Measurement>, Infeasible> measure_plan(const Problem& problem,
                                                                                const Plan& plan,
                                                                                const MeasureOptions& options,
                                                                                const MeasureDevices& devices,
                                                                                const MpiWorld& world);

/// Indices of the steps to use, ascending: all that were not disturbed, and at least `fewest` (or all there are), the
/// least disturbed. Chosen by the gauge alone, never by what the steps took.
[[nodiscard]] std::vector<std::size_t> undisturbed_steps(const std::vector<double>& slowness, std::size_t fewest);

/// The middle of an odd number, the mean of the middle two of an even one; 0 of none.
[[nodiscard]] Seconds median_of(std::vector<Seconds> values);

}  // namespace gabra::exec
