// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan_file.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/report.hpp"

#include <span>
#include <string>
#include <vector>

namespace gabra::cli {

// Pieces of output for people. Each ends in a newline where it is whole lines.

/// "33,592,229".
[[nodiscard]] std::string with_commas(std::int64_t number);
/// "12.3 %".
[[nodiscard]] std::string percent(double fraction);

/// What samples of this network are called: "volumes", "images", "sequences" or "samples".
[[nodiscard]] std::string samples_name(const Network& network);

/// Names of `devices`; many consecutive ones are cut to "GPU0 ... GPU7".
[[nodiscard]] std::string names_of(std::span<const DeviceId> devices, const Cluster& cluster);

/// "network 3d-resattnet-34 on cluster dgx1-v100, global batch 32, ...".
[[nodiscard]] std::string problem_line(const Problem& problem);

/// The table of stages, with the line of settings above it.
[[nodiscard]] std::string plan_table(const Problem& problem, const Plan& plan);

/// Time, bubble, exposed communication, peak memory of each device, and the busiest links.
[[nodiscard]] std::string device_table(const Problem& problem, const StepReport& report);

/// Memory of each device by what it is for.
[[nodiscard]] std::string breakdown_text(const MemoryBreakdown& breakdown);

/// Why a plan cannot run: by how much, on which device, the largest contributors.
[[nodiscard]] std::string infeasible_text(const Infeasible& reason, const Cluster& cluster);

/// Kinds of devices whose figures were never fitted on such a device.
[[nodiscard]] std::vector<std::string> uncalibrated_kinds(const Cluster& cluster);

/// What a person should know about numbers for this problem: devices that were never calibrated, a profile of other
/// training settings, layers or micro-batch sizes that it does not have.
[[nodiscard]] std::vector<std::string> notes_on(const Problem& problem, std::int64_t micro_batch);
/// The first of them, for a cluster alone; empty when every kind is calibrated.
[[nodiscard]] std::string calibration_note(const Cluster& cluster);
/// "Note: ..." lines.
[[nodiscard]] std::string to_lines(const std::vector<std::string>& notes);

[[nodiscard]] bool has_batch_norm(const Network& network);

}  // namespace gabra::cli
