// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/json/reader.hpp"
#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/report.hpp"

#include <optional>
#include <string>

namespace gabra::cli {

// Pieces of the gabra/report/1 document (docs/formats.md).

/// step_time_s, samples_per_s, bubble_fraction, ..., devices and links of a report.
void add_report(json::Value& document, const Problem& problem, const StepReport& report);
/// The same without devices and links.
void add_report_sums(json::Value& document, const StepReport& report);
/// speedup and efficiency against `one_device`; null where no single device can train the network.
void add_speedup(json::Value& document, const Problem& problem, Seconds step, std::optional<Seconds> one_device);
/// micro_batch, micro_batches, schedule, bucket_bytes, stages.
void add_plan(json::Value& document, const Problem& problem, const Plan& plan);
/// network, cluster, training settings, uncalibrated device kinds.
void add_problem(json::Value& document, const Problem& problem);
[[nodiscard]] json::Value to_value(const Infeasible& reason, const Cluster& cluster);

/// The document as text, names that are not UTF-8 repaired.
[[nodiscard]] std::string to_document_text(const json::Value& document);

}  // namespace gabra::cli
