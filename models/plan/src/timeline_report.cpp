// SPDX-License-Identifier: MIT
#include "gabra/plan/timeline_report.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace gabra {
namespace {

struct Interval {
  double begin;
  double end;
};

/// Sorted, disjoint intervals that cover the same time.
std::vector<Interval> joined(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(), [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  std::vector<Interval> result;
  for (const Interval& one : intervals) {
    if (!result.empty() && one.begin <= result.back().end)
      result.back().end = std::max(result.back().end, one.end);
    else
      result.push_back(one);
  }
  return result;
}

double length(const std::vector<Interval>& intervals) {
  double sum = 0.0;
  for (const Interval& one : intervals) sum += one.end - one.begin;
  return sum;
}

/// Time that both cover.
double overlap(const std::vector<Interval>& a, const std::vector<Interval>& b) {
  double sum = 0.0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    sum += std::max(0.0, std::min(a[i].end, b[j].end) - std::max(a[i].begin, b[j].begin));
    if (a[i].end < b[j].end)
      ++i;
    else
      ++j;
  }
  return sum;
}

struct DeviceSpans {
  std::vector<Interval> compute, communication;
};

std::map<DeviceId, DeviceSpans> spans_by_device(const Program& program, const Timeline& timeline) {
  std::map<DeviceId, DeviceSpans> result;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& one = program.instructions[i];
    const Timeline::Span& span = timeline.spans[i];
    const StreamKind kind = program.streams[one.stream.index()].kind;
    if (kind == StreamKind::Load || span.end <= span.begin) continue;
    DeviceSpans& spans = result[one.device];
    (kind == StreamKind::Compute ? spans.compute : spans.communication)
        .push_back({span.begin.value(), span.end.value()});
  }
  return result;
}

std::vector<LinkReport> link_reports(const Cluster& cluster, const Program& program, const Timeline& timeline) {
  struct Use {
    double bytes = 0.0;
    std::vector<Interval> spans;
  };
  std::map<LinkId, Use> uses;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const Instruction& one = program.instructions[i];
    if (one.opcode != Opcode::Send) continue;
    for (const LinkId link : cluster.route(one.device, one.peer).links) {
      uses[link].bytes += static_cast<double>(one.bytes.value());
      uses[link].spans.push_back({timeline.spans[i].begin.value(), timeline.spans[i].end.value()});
    }
  }
  std::vector<LinkReport> links;
  for (auto& [link, use] : uses)
    links.push_back({.link = link, .bytes = use.bytes, .busy = Seconds(length(joined(std::move(use.spans))))});
  return links;
}

}  // namespace

StepReport report_of(const Cluster& cluster, const Program& program, const Timeline& timeline,
                     std::span<const Bytes> peak_memory) {
  StepReport report;
  const double step = timeline.end.value();
  report.step = timeline.end;
  report.samples_per_second = step > 0.0 ? static_cast<double>(program.samples) / step : 0.0;
  const std::map<DeviceId, DeviceSpans> spans = spans_by_device(program, timeline);
  double bubbles = 0.0;
  for (const DeviceId device : program.devices) {
    const auto found = spans.find(device);
    const DeviceSpans own = found == spans.end() ? DeviceSpans{} : found->second;
    const std::vector<Interval> compute = joined(own.compute);
    const std::vector<Interval> communication = joined(own.communication);
    const DeviceKind& kind = cluster.kind_of(device);
    DeviceReport one{.device = device,
                     .compute = Seconds(length(compute)),
                     .exposed_communication = {},
                     .bubble = {},
                     .peak_memory = {},
                     .energy = {}};
    one.exposed_communication = Seconds(std::max(0.0, length(communication) - overlap(compute, communication)));
    one.bubble = Seconds(std::max(0.0, step - one.compute.value() - one.exposed_communication.value()));
    one.energy = kind.busy_power * one.compute + kind.idle_power * Seconds(std::max(0.0, step - one.compute.value()));
    const std::span<const Bytes> peaks =
        peak_memory.empty() ? std::span<const Bytes>(program.peak_memory) : peak_memory;
    if (device.index() < peaks.size()) one.peak_memory = peaks[device.index()];
    bubbles += one.bubble.value();
    report.exposed_communication += one.exposed_communication;
    report.energy += one.energy;
    report.peak_memory = std::max(report.peak_memory, one.peak_memory);
    report.devices.push_back(one);
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, program.devices.size()));
  report.bubble_fraction = step > 0.0 ? bubbles / count / step : 0.0;
  report.exposed_communication = report.exposed_communication / count;
  report.links = link_reports(cluster, program, timeline);
  return report;
}

}  // namespace gabra
