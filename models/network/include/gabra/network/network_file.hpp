// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/network/network.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gabra {

/// Reads the gabra/network/1 format (docs/formats.md). `name` is used in messages. Throws InputError with every fault.
[[nodiscard]] Network parse_network(std::string_view json_text, const std::string& name);

/// The gabra/network/1 text; parse_network() of it gives an identical network.
[[nodiscard]] std::string to_json_text(const Network& network);

/// Reads a PipeDream profile graph (`nodeN -- description -- forward_compute_time=..., ...` lines, `nodeA -- nodeB`
/// edges) as opaque layers measured at `batch` samples. Without `batch` it is what the file's sizes imply (32 to 256 in
/// the published profiles: it differs from file to file), else 64. Input nodes are left out: their times are data
/// loading. Throws InputError with every fault and its line.
[[nodiscard]] Network parse_pipedream_profile(std::string_view text, const std::string& name,
                                              std::optional<std::int64_t> batch = std::nullopt);

}  // namespace gabra
