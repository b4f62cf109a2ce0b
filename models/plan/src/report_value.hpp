// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/json/reader.hpp"
#include "gabra/plan/infeasible.hpp"
#include "gabra/plan/report.hpp"

namespace gabra {

// Reports between programs: devices and links by number, seconds and bytes as they are. Everything comes back as it
// was.

[[nodiscard]] json::Value to_value(const StepReport& report);
[[nodiscard]] StepReport read_report(const json::Value& value, const json::Place& place, FaultList& faults);
[[nodiscard]] json::Value to_value(const Infeasible& reason);
/// Reads the fields of to_value(Infeasible) that stand in `object`.
[[nodiscard]] Infeasible read_infeasible(json::ObjectReader& object);

}  // namespace gabra
