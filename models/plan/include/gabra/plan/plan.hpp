// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/ids.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/problem.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// In what order micro-batches run; see compiler.hpp for the exact rule.
enum class Schedule : std::uint8_t {
  Sequential,             ///< each replica of the first stage has one micro-batch in flight
  GPipe,                  ///< all forwards, then all backwards
  OneForwardOneBackward,  ///< "1f1b": backwards first, a bounded number of micro-batches in flight
};

/// Whether a stage drops its activations after the forward and computes them again before the backward.
enum class Recompute : std::uint8_t { Never, Always, ExceptLast };  ///< ExceptLast: the last micro-batch keeps them

[[nodiscard]] std::string_view to_text(Schedule schedule);    ///< "sequential", "gpipe", "1f1b"
[[nodiscard]] std::string_view to_text(Recompute recompute);  ///< "never", "always", "except_last"
[[nodiscard]] std::string_view to_text(Optimizer optimizer);  ///< "sgd_momentum", "adamw"
[[nodiscard]] std::string_view to_text(Precision precision);  ///< "float32", "bfloat16"
[[nodiscard]] std::string_view to_text(GradientSum sum);      ///< "plain", "wide"

/// Consecutive units [first_unit, end_unit) and the devices that replicate them. Micro-batch m runs on
/// devices[m mod devices.size()].
struct Stage {
  std::int32_t first_unit = 0;
  std::int32_t end_unit = 0;
  std::vector<DeviceId> devices;
  Recompute recompute = Recompute::Never;

  auto operator<=>(const Stage&) const = default;
};

/// Stages in order; together they cover all units. A device may appear in several stages, but once in each.
struct Plan {
  std::int64_t micro_batches = 1;  ///< M; M divides the global batch, and M >= the replicas of every stage
  Schedule schedule = Schedule::OneForwardOneBackward;
  Bytes bucket{std::int64_t{25} * 1000 * 1000};  ///< gradients of about this many bytes are reduced together
  std::vector<Stage> stages;

  auto operator<=>(const Plan&) const = default;
};

/// What is wrong with `plan` for `problem`; empty: it can be compiled (it may still not fit the memory). Structure
/// only: units covered in order, devices existing and distinct per stage, M dividing the batch, M >= R. `where` is a
/// path within the plan: "stages[2].devices[0]".
[[nodiscard]] std::vector<Fault> find_plan_faults(const Problem& problem, const Plan& plan);
/// The same as texts, one per fault.
[[nodiscard]] std::vector<std::string> find_faults(const Problem& problem, const Plan& plan);

/// "0-7@0,1 8-15@2": units @ devices, stages separated by spaces; "0-7@0,1/always" recomputes. Units are numbers,
/// devices numbers or names of the cluster. Throws InputError (place "--stages").
[[nodiscard]] std::vector<Stage> parse_stages(std::string_view text, const Network& network, const Cluster& cluster);
[[nodiscard]] std::string to_text(const std::vector<Stage>& stages);

}  // namespace gabra
