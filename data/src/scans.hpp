// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/data/cohort.hpp"

#include <string>
#include <vector>

namespace gabra::data {

/// The first T1-weighted scan of every session of one person, in natural order; a scan outside session folders comes
/// first, with session "". Faults (no folder, unreadable, no scan) go to `faults`.
[[nodiscard]] std::vector<Scan> find_scans(const std::string& directory, const std::string& id,
                                           std::vector<Fault>& faults);

/// Names of the folders sub-*, in natural order.
[[nodiscard]] std::vector<std::string> find_people(const std::string& directory, FaultList& faults);

}  // namespace gabra::data
