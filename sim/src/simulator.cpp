// SPDX-License-Identifier: MIT
#include "gabra/sim/simulator.hpp"

#include "gabra/cluster/collective.hpp"
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"

#include "engine.hpp"
#include "meter.hpp"
#include "slowdowns.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace gabra::sim {
namespace {

PlatformShape shape_of(const Cluster& cluster) {
  PlatformShape shape;
  shape.slowdowns = Slowdowns::levels(cluster);
  for (const Link& link : cluster.links()) {
    shape.cables.push_back({.bandwidth = link.bandwidth.value(), .is_fat_pipe = link.is_fat_pipe});
  }
  return shape;
}

// What a token that comes back from the platform is about: the low bits say which of these, the rest is an index.
enum class Event : std::int64_t { InstructionDone, TransferLatencyOver, TransferDone, CollectiveLatencyOver, FlowDone };
constexpr std::int64_t kEventCount = 8;

std::int64_t token(Event event, std::size_t index) {
  return static_cast<std::int64_t>(index) * kEventCount + static_cast<std::int64_t>(event);
}

bool is_transfer(const Instruction& instruction) {
  return instruction.opcode == Opcode::Send || instruction.opcode == Opcode::Receive;
}

}  // namespace

/// Interprets a Program in the order of events. Everything that becomes ready while an event is handled goes through
/// one queue, so that a chain of instructions of zero seconds is no recursion.
class Simulator::Implementation final : private Listener {
 public:
  explicit Implementation(const Cluster& cluster)
      : cluster_(cluster),
        platform_(Platform::of(shape_of(cluster))),
        collectives_(cluster),
        meter_(cluster),
        slowdowns_(cluster, platform_),
        routes_(cluster.device_count()) {}

  [[nodiscard]] const Cluster& cluster() const { return cluster_; }
  [[nodiscard]] Simulation run(const Program& program);

 private:
  struct PathTo {
    const Route* route = nullptr;
    std::size_t handle = 0;
  };
  struct CollectiveRun {
    std::size_t members_left = 0;
    std::size_t flows_left = 0;
    std::size_t first_flow = 0;  // index into flows_
    const AllReduceLayout* layout = nullptr;
  };
  struct Flow {
    std::size_t collective = 0;
    const PathTo* path = nullptr;
  };

  void on_begin() override;
  void on_done(std::int64_t token) override;

  void prepare(const Program& program);
  void drain();
  void make_ready(InstructionId id);
  void finish(InstructionId id);
  void begin_compute(InstructionId id);
  void end_compute(InstructionId id);
  void begin_transfer(InstructionId send);
  void transfer_latency_over(InstructionId send);
  void end_transfer(InstructionId send);
  void begin_collective(std::size_t index);
  void collective_latency_over(std::size_t index);
  void end_collective(std::size_t index);
  void end_flow(std::size_t index);
  void touch(DeviceId device, Traffic traffic);
  void release(DeviceId device, Traffic traffic);
  const PathTo& path(DeviceId from, DeviceId to);

  [[nodiscard]] const Instruction& instruction(InstructionId id) const { return program_->instructions[id.index()]; }
  [[nodiscard]] Timeline::Span& span(InstructionId id) { return spans_[id.index()]; }

  const Cluster& cluster_;
  Platform& platform_;
  CollectiveModel collectives_;
  Meter meter_;
  Slowdowns slowdowns_;
  std::vector<std::vector<PathTo>> routes_;  // by device, then by peer; a row is made when the device first sends

  // Of the run that is under way.
  const Program* program_ = nullptr;
  std::vector<Timeline::Span> spans_;
  std::vector<std::int32_t> waiting_for_;  // predecessors not yet done, by instruction
  std::vector<bool> is_ready_;             // Send, Receive: waits for its partner only
  std::vector<CollectiveRun> collective_runs_;
  std::vector<Flow> flows_;
  std::vector<InstructionId> queue_;  // ready, not yet started
  std::size_t unfinished_ = 0;
  double now_ = 0.0;
};

Simulation Simulator::Implementation::run(const Program& program) {
  prepare(program);
  platform_.run(*this);
  GABRA_CHECK(unfinished_ == 0, "a Program ended with instructions that never became ready");
  slowdowns_.reset();
  Simulation result;
  double end = 0.0;
  for (const Timeline::Span& each : spans_) end = std::max(end, each.end.value());
  // Where the first instruction waits for it or the last is followed by it makes no difference.
  double overhead = 0.0;
  for (const DeviceId device : program.devices)
    overhead = std::max(overhead, cluster_.kind_of(device).step_overhead.value());
  end += overhead;
  result.timeline.end = Seconds(end);
  result.timeline.spans = std::move(spans_);
  result.report = meter_.report(program, end);
  program_ = nullptr;
  return result;
}

void Simulator::Implementation::prepare(const Program& program) {
  program_ = &program;
  const std::size_t count = program.instructions.size();
  unfinished_ = count;
  spans_.assign(count, {});
  is_ready_.assign(count, false);
  waiting_for_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    waiting_for_[i] = program.predecessors.offsets[i + 1] - program.predecessors.offsets[i];
  }
  collective_runs_.assign(program.collectives.size(), {});
  for (std::size_t i = 0; i < collective_runs_.size(); ++i) {
    collective_runs_[i].members_left = program.collectives[i].members.size();
  }
  flows_.clear();
  queue_.clear();
  meter_.reset();
}

void Simulator::Implementation::on_begin() {
  now_ = 0.0;
  for (std::size_t i = 0; i < waiting_for_.size(); ++i) {
    if (waiting_for_[i] == 0) queue_.emplace_back(i);
  }
  drain();
}

void Simulator::Implementation::on_done(std::int64_t done) {
  now_ = platform_.now();
  const auto index = static_cast<std::size_t>(done / kEventCount);
  switch (static_cast<Event>(done % kEventCount)) {
    case Event::InstructionDone:
      end_compute(InstructionId(index));
      break;
    case Event::TransferLatencyOver:
      transfer_latency_over(InstructionId(index));
      break;
    case Event::TransferDone:
      end_transfer(InstructionId(index));
      break;
    case Event::CollectiveLatencyOver:
      collective_latency_over(index);
      break;
    case Event::FlowDone:
      end_flow(index);
      break;
  }
  drain();
}

void Simulator::Implementation::drain() {
  // The queue grows under the loop.
  for (std::size_t i = 0; i < queue_.size(); ++i) make_ready(queue_[i]);  // NOLINT(modernize-loop-convert)
  queue_.clear();
}

void Simulator::Implementation::make_ready(InstructionId id) {
  const Instruction& ready = instruction(id);
  if (is_transfer(ready)) {
    is_ready_[id.index()] = true;
    if (is_ready_[ready.partner.index()]) begin_transfer(ready.opcode == Opcode::Send ? id : ready.partner);
  } else if (ready.collective >= 0) {
    const auto index = static_cast<std::size_t>(ready.collective);
    if (--collective_runs_[index].members_left == 0) begin_collective(index);
  } else {
    begin_compute(id);
  }
}

void Simulator::Implementation::finish(InstructionId id) {
  span(id).end = Seconds(now_);
  --unfinished_;
  for (const InstructionId next : program_->successors.of(id)) {
    if (--waiting_for_[next.index()] == 0) queue_.push_back(next);
  }
}

void Simulator::Implementation::begin_compute(InstructionId id) {
  span(id).begin = Seconds(now_);
  const Instruction& begun = instruction(id);
  const double seconds = begun.seconds.value();
  if (seconds <= 0.0) return finish(id);
  if (program_->streams[begun.stream.index()].kind == StreamKind::Compute) {
    meter_.compute_begins(begun.device.index(), now_);
    slowdowns_.compute_begins(begun.device);
    platform_.start_compute(begun.device.index(), seconds, token(Event::InstructionDone, id.index()));
  } else {
    platform_.start_timer(seconds, token(Event::InstructionDone, id.index()));
  }
}

void Simulator::Implementation::end_compute(InstructionId id) {
  const Instruction& ended = instruction(id);
  if (program_->streams[ended.stream.index()].kind == StreamKind::Compute) {
    meter_.compute_ends(ended.device.index(), now_);
    slowdowns_.compute_ends(ended.device);
  }
  finish(id);
}

void Simulator::Implementation::begin_transfer(InstructionId send) {
  const Instruction& sent = instruction(send);
  span(send).begin = Seconds(now_);
  span(sent.partner).begin = Seconds(now_);
  touch(sent.device, Traffic::Send);
  touch(sent.peer, Traffic::Receive);
  const double latency = path(sent.device, sent.peer).route->latency.value();
  if (latency > 0.0) {
    platform_.start_timer(latency, token(Event::TransferLatencyOver, send.index()));
  } else {
    transfer_latency_over(send);
  }
}

void Simulator::Implementation::transfer_latency_over(InstructionId send) {
  const Instruction& sent = instruction(send);
  const PathTo& taken = path(sent.device, sent.peer);
  const auto bytes = static_cast<double>(sent.bytes.value());
  meter_.flow_begins(taken.route->links, bytes, now_);
  if (bytes > 0.0) {
    platform_.start_flow(taken.handle, bytes, token(Event::TransferDone, send.index()));
  } else {
    end_transfer(send);
  }
}

void Simulator::Implementation::end_transfer(InstructionId send) {
  const Instruction& sent = instruction(send);
  meter_.flow_ends(path(sent.device, sent.peer).route->links, now_);
  release(sent.device, Traffic::Send);
  release(sent.peer, Traffic::Receive);
  finish(send);
  finish(sent.partner);
}

void Simulator::Implementation::begin_collective(std::size_t index) {
  const Collective& collective = program_->collectives[index];
  CollectiveRun& begun = collective_runs_[index];
  begun.layout = &collectives_.all_reduce(collective.devices, collective.bytes);
  for (const InstructionId member : collective.members) span(member).begin = Seconds(now_);
  for (const DeviceId device : collective.devices) touch(device, Traffic::Collective);
  const double latency = begun.layout->latency.value();
  if (latency > 0.0) {
    platform_.start_timer(latency, token(Event::CollectiveLatencyOver, index));
  } else {
    collective_latency_over(index);
  }
}

void Simulator::Implementation::collective_latency_over(std::size_t index) {
  CollectiveRun& begun = collective_runs_[index];
  begun.first_flow = flows_.size();
  for (const CollectiveFlow& flow : begun.layout->flows) {
    if (flow.bytes <= 0.0) continue;
    const PathTo& taken = path(flow.from, flow.to);
    flows_.push_back({.collective = index, .path = &taken});
    ++begun.flows_left;
    meter_.flow_begins(taken.route->links, flow.bytes, now_);
    platform_.start_flow(taken.handle, flow.bytes, token(Event::FlowDone, flows_.size() - 1));
  }
  if (begun.flows_left == 0) end_collective(index);
}

void Simulator::Implementation::end_flow(std::size_t index) {
  const Flow& ended = flows_[index];
  meter_.flow_ends(ended.path->route->links, now_);
  if (--collective_runs_[ended.collective].flows_left == 0) end_collective(ended.collective);
}

void Simulator::Implementation::end_collective(std::size_t index) {
  const Collective& collective = program_->collectives[index];
  for (const DeviceId device : collective.devices) release(device, Traffic::Collective);
  for (const InstructionId member : collective.members) finish(member);
}

void Simulator::Implementation::touch(DeviceId device, Traffic traffic) {
  meter_.communication_begins(device.index(), now_);
  slowdowns_.communication_begins(device, traffic);
}

void Simulator::Implementation::release(DeviceId device, Traffic traffic) {
  meter_.communication_ends(device.index(), now_);
  slowdowns_.communication_ends(device, traffic);
}

const Simulator::Implementation::PathTo& Simulator::Implementation::path(DeviceId from, DeviceId to) {
  std::vector<PathTo>& row = routes_[from.index()];
  if (row.empty()) row.resize(cluster_.device_count());
  PathTo& known = row[to.index()];
  if (known.route == nullptr) {
    const Route& route = cluster_.route(from, to);
    std::vector<std::size_t> cables;
    for (const LinkId link : route.links) cables.push_back(link.index());
    known = {.route = &route, .handle = platform_.add_route(cables)};
  }
  return known;
}

Simulator::Simulator(const Cluster& cluster) : implementation_(std::make_unique<Implementation>(cluster)) {}
Simulator::~Simulator() = default;
const Cluster& Simulator::cluster() const { return implementation_->cluster(); }
Simulation Simulator::run(const Program& program) { return implementation_->run(program); }

}  // namespace gabra::sim
