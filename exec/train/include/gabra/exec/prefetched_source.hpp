// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/synthetic_source.hpp"
#include "gabra/plan/program.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace gabra::exec {

/// The micro-batches that a device loads, in the order of its Loads: one that several stages read is there as often.
[[nodiscard]] std::vector<std::int64_t> loads_of(const Program& program, DeviceId device);

/// Where samples wait for their GPU: in memory that it reads by itself, or in any.
enum class HostMemory : std::uint8_t { Pinned, Pageable };

/// For a rank with a GPU: the same samples, whose inputs a thread fetches into pinned memory before they are asked for,
/// so that neither the first Load of a step nor its copy to the GPU waits for the host's memory. `loads`: what a step
/// asks for, in this order; another order costs time alone. What `source` throws comes from the call that asks for it.
/// Pinned memory needs a GPU; HostMemory::Pageable is for tests without one.
[[nodiscard]] std::unique_ptr<SampleSourceBase> make_prefetched_source(std::unique_ptr<SampleSourceBase> source,
                                                                       std::vector<std::int64_t> loads,
                                                                       HostMemory memory = HostMemory::Pinned);

}  // namespace gabra::exec
