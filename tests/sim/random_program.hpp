// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/rng.hpp"
#include "gabra/sim/simulator.hpp"

#include "hand_made.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace gabra::test {

/// A Program of `count` compute spans, loads, transfers and all-reduces with random dependencies, some of zero length.
inline Program random_program(std::uint64_t seed, int devices, int count) {
  Rng rng = Rng::substream(seed, 0);
  HandMadeProgram program;
  std::vector<InstructionId> known;
  const auto any_device = [&] { return static_cast<int>(rng.between(0, devices - 1)); };
  const auto some_known = [&] {
    std::vector<InstructionId> chosen;
    for (std::int64_t i = rng.between(0, 2); i > 0 && !known.empty(); --i) {
      const std::size_t back = std::min<std::size_t>(known.size(), 12);
      chosen.push_back(known[known.size() - 1 - rng.below(back)]);
    }
    return chosen;
  };
  for (int i = 0; i < count; ++i) {
    const std::uint64_t what = rng.below(10);
    if (what < 5 || devices < 2) {
      const double seconds = rng.chance(0.1) ? 0.0 : 1e-3 * rng.uniform();
      known.push_back(what == 0 ? program.load(any_device(), seconds, some_known())
                                : program.compute(any_device(), seconds, some_known()));
    } else if (what < 9) {
      const int from = any_device();
      const int to = (from + static_cast<int>(rng.between(1, devices - 1))) % devices;
      const std::int64_t bytes = rng.chance(0.1) ? 0 : rng.between(1, 20'000'000);
      const auto [send, receive] = program.transfer(from, to, bytes, some_known(), some_known());
      known.push_back(rng.chance(0.5) ? send : receive);
    } else {
      std::vector<int> members;
      for (int device = 0; device < devices; ++device) {
        if (rng.chance(0.6)) members.push_back(device);
      }
      if (members.size() < 2) continue;
      std::vector<InstructionId> after;
      for (std::size_t m = 0; m < members.size() && !known.empty(); ++m)
        after.push_back(known[rng.below(known.size())]);
      known.push_back(program.all_reduce(members, rng.between(1, 50'000'000), after).back());
    }
  }
  return program.build();
}

/// Every number of a simulation, as bits.
inline std::vector<std::uint64_t> bits_of(const sim::Simulation& simulation) {
  std::vector<std::uint64_t> bits;
  const auto add = [&bits](double value) { bits.push_back(std::bit_cast<std::uint64_t>(value)); };
  for (const Timeline::Span& span : simulation.timeline.spans) {
    add(span.begin.value());
    add(span.end.value());
  }
  const StepReport& report = simulation.report;
  for (const double value : {simulation.timeline.end.value(), report.step.value(), report.samples_per_second,
                             report.bubble_fraction, report.exposed_communication.value(), report.energy.value()}) {
    add(value);
  }
  for (const DeviceReport& device : report.devices) {
    for (const double value :
         {device.compute.value(), device.exposed_communication.value(), device.bubble.value(), device.energy.value()}) {
      add(value);
    }
  }
  for (const LinkReport& link : report.links) {
    add(link.bytes);
    add(link.busy.value());
  }
  return bits;
}

/// One number for all of them.
inline std::uint64_t hash_of(const sim::Simulation& simulation) {
  std::uint64_t hash = 0;
  for (const std::uint64_t bits : bits_of(simulation)) hash = mix_bits(hash ^ bits);
  return hash;
}

}  // namespace gabra::test
