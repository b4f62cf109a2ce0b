// SPDX-License-Identifier: MIT
#include "gabra/plan/timeline.hpp"

#include <algorithm>
#include <tuple>

namespace gabra {

std::vector<MemorySample> memory_samples(const Program& program, const Timeline& timeline) {
  struct Change {
    Seconds time;
    DeviceId device;
    Bytes delta;
  };
  std::vector<Change> changes;
  changes.reserve(program.memory_events.size());
  for (const MemoryEvent& event : program.memory_events) {
    const Timeline::Span& span = timeline.spans[event.instruction.index()];
    changes.push_back({event.at_end ? span.end : span.begin, event.device, event.delta});
  }
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::tie(a.time, a.device) < std::tie(b.time, b.device);
  });

  std::vector<Bytes> in_use(program.static_memory.size());
  std::vector<std::size_t> last_sample(program.static_memory.size());
  std::vector<MemorySample> samples;
  for (const DeviceId device : program.devices) {
    for (const Bytes bytes : program.static_memory[device.index()]) in_use[device.index()] += bytes;
    last_sample[device.index()] = samples.size();
    samples.push_back({Seconds(0.0), device, in_use[device.index()]});
  }
  // Several changes of a device at one instant make one sample: what one instruction gives back when it ends, the next
  // takes when it begins.
  for (const Change& change : changes) {
    Bytes& now = in_use[change.device.index()];
    now += change.delta;
    std::size_t& last = last_sample[change.device.index()];
    if (samples[last].time == change.time) {
      samples[last].in_use = now;
    } else {
      last = samples.size();
      samples.push_back({change.time, change.device, now});
    }
  }
  return samples;
}

}  // namespace gabra
