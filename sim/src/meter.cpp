// SPDX-License-Identifier: MIT
#include "meter.hpp"

#include <algorithm>

namespace gabra::sim {

Meter::Meter(const Cluster& cluster)
    : cluster_(cluster), devices_(cluster.device_count()), links_(cluster.links().size()) {}

void Meter::reset() {
  std::fill(devices_.begin(), devices_.end(), DeviceTime{});
  for (const LinkId link : used_links_) links_[link.index()] = LinkUse{};
  used_links_.clear();
}

void Meter::flow_begins(std::span<const LinkId> links, double bytes, double now) {
  for (const LinkId link : links) {
    LinkUse& use = links_[link.index()];
    if (!use.is_used) {
      use.is_used = true;
      used_links_.push_back(link);
    }
    if (use.flows++ == 0) use.since = now;
    use.bytes += bytes;
  }
}

void Meter::flow_ends(std::span<const LinkId> links, double now) {
  for (const LinkId link : links) {
    LinkUse& use = links_[link.index()];
    if (--use.flows == 0) use.busy += now - use.since;
  }
}

StepReport Meter::report(const Program& program, double step) {
  StepReport report;
  report.step = Seconds(step);
  report.samples_per_second = step > 0.0 ? static_cast<double>(program.samples) / step : 0.0;
  report.devices.reserve(program.devices.size());
  double bubbles = 0.0;
  for (const DeviceId device : program.devices) {
    const DeviceTime& time = devices_[device.index()];
    const DeviceKind& kind = cluster_.kind_of(device);
    const Seconds compute(time.compute);
    const Seconds exposed(time.exposed);
    // The rest; rounding of the sums may leave a hair less than nothing.
    const Seconds bubble(std::max(0.0, step - time.compute - time.exposed));
    const Seconds idle(std::max(0.0, step - time.compute));
    const Joules energy = kind.busy_power * compute + kind.idle_power * idle;
    const Bytes peak = program.peak_memory.empty() ? Bytes(0) : program.peak_memory[device.index()];
    report.devices.push_back({.device = device,
                              .compute = compute,
                              .exposed_communication = exposed,
                              .bubble = bubble,
                              .peak_memory = peak,
                              .energy = energy});
    bubbles += bubble.value();
    report.exposed_communication += exposed;
    report.energy += energy;
    report.peak_memory = std::max(report.peak_memory, peak);
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, program.devices.size()));
  report.bubble_fraction = step > 0.0 ? bubbles / count / step : 0.0;
  report.exposed_communication = report.exposed_communication / count;
  std::sort(used_links_.begin(), used_links_.end());
  report.links.reserve(used_links_.size());
  for (const LinkId link : used_links_) {
    const LinkUse& use = links_[link.index()];
    report.links.push_back({.link = link, .bytes = use.bytes, .busy = Seconds(use.busy)});
  }
  return report;
}

}  // namespace gabra::sim
