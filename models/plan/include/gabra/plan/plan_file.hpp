// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gabra {

/// A plan with what it was made for, so that it can be simulated alone.
struct PlanFile {
  Problem problem;
  Plan plan;
  std::optional<std::uint64_t> profile_fingerprint;
  std::optional<std::uint64_t> seed;  ///< of the search that found it
};

/// Reads the gabra/plan/1 format (docs/formats.md), network and cluster embedded. `cluster` and `profile`, when given,
/// replace the file's own; device names must match. Throws InputError with every fault.
[[nodiscard]] PlanFile parse_plan(std::string_view json_text, const std::string& name,
                                  std::shared_ptr<const Cluster> cluster = nullptr,
                                  std::shared_ptr<const Profile> profile = nullptr);

/// The gabra/plan/1 text; parse_plan() of it gives an identical plan.
[[nodiscard]] std::string to_json_text(const PlanFile& file);

}  // namespace gabra
