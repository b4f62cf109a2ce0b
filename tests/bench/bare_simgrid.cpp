// SPDX-License-Identifier: MIT
#include "bare_simgrid.hpp"

#include <simgrid/s4u.hpp>

#include <simgrid/version.h>  // 3.32's needs macros of the others

#include <cstdint>
#include <string>
#include <vector>

namespace gabra::bench {
namespace {

namespace s4u = simgrid::s4u;

bool is_activity(const Instruction& instruction) {
  return instruction.opcode == Opcode::Send || instruction.seconds.value() > 0.0;
}

}  // namespace

struct BareSimGrid::Implementation {
  static Implementation* running;

  s4u::Engine* engine = s4u::Engine::get_instance();
  std::vector<s4u::Host*> hosts;
  const Program* program = nullptr;
  std::vector<std::int32_t> waiting_for;
  std::vector<bool> is_ready;
  std::vector<s4u::ActivityPtr> alive;

  void start(std::size_t i) {
    const Instruction& instruction = program->instructions[i];
    if (instruction.partner.is_valid()) {
      is_ready[i] = true;
      if (!is_ready[instruction.partner.index()]) return;
      const std::size_t send = instruction.opcode == Opcode::Send ? i : instruction.partner.index();
      const Instruction& sent = program->instructions[send];
      const s4u::CommPtr comm = s4u::Comm::sendto_init(hosts[sent.device.index()], hosts[sent.peer.index()]);
      comm->set_payload_size(static_cast<std::uint64_t>(sent.bytes.value()));
      launch(*comm, send);
    } else if (is_activity(instruction)) {
      const s4u::ExecPtr exec = s4u::Exec::init();
      exec->set_flops_amount(instruction.seconds.value())->set_host(hosts[instruction.device.index()]);
      launch(*exec, i);
    } else {
      finish(i);
    }
  }
  void launch(s4u::Activity& activity, std::size_t i) {
    activity.set_data(reinterpret_cast<void*>(i + 1));  // NOLINT(performance-no-int-to-ptr)
    alive.emplace_back(&activity);
    activity.start();
  }
  void finish(std::size_t i) {
    for (const InstructionId next : program->successors.of(InstructionId(i))) {
      if (--waiting_for[next.index()] == 0) start(next.index());
    }
  }
  void on_done(const s4u::Activity& activity) {
    const std::size_t i = reinterpret_cast<std::uintptr_t>(activity.get_data<void>()) - 1;
    finish(i);
    if (const InstructionId partner = program->instructions[i].partner; partner.is_valid()) finish(partner.index());
  }
};

BareSimGrid::Implementation* BareSimGrid::Implementation::running = nullptr;

BareSimGrid::BareSimGrid(int devices) : implementation_(std::make_unique<Implementation>()) {
  static const bool is_connected = [] {
    const auto forward = [](const s4u::Activity& activity) {
      if (Implementation::running != nullptr) Implementation::running->on_done(activity);
    };
#if SIMGRID_VERSION >= 40000
    s4u::Exec::on_completion_cb(forward);
    s4u::Comm::on_completion_cb(forward);
#else
    s4u::Activity::on_completion_cb(forward);
#endif
    return true;
  }();
  static_cast<void>(is_connected);
  const std::string name = "bare" + std::to_string(devices);
#if SIMGRID_VERSION >= 40000
  s4u::NetZone* zone = implementation_->engine->get_netzone_root()->add_netzone_star(name);
#else
  s4u::NetZone* zone = s4u::create_star_zone(name)->set_parent(implementation_->engine->get_netzone_root());
#endif
  for (int i = 0; i < devices; ++i) {
    const std::string host_name = name + "_" + std::to_string(i);
    s4u::Host* host = zone->create_host(host_name, 1.0);
    s4u::Link* up = zone->create_link(host_name + "_up", 100e9)->set_latency(0.0);
    s4u::Link* down = zone->create_link(host_name + "_down", 100e9)->set_latency(0.0);
    zone->add_route(host->get_netpoint(), nullptr, nullptr, nullptr, {s4u::LinkInRoute(up)}, false);
    zone->add_route(nullptr, host->get_netpoint(), nullptr, nullptr, {s4u::LinkInRoute(down)}, false);
    implementation_->hosts.push_back(host);
  }
  zone->seal();
}

BareSimGrid::~BareSimGrid() = default;

double BareSimGrid::run(const Program& program) {
  Implementation& bare = *implementation_;
  bare.program = &program;
  bare.is_ready.assign(program.instructions.size(), false);
  bare.waiting_for.resize(program.instructions.size());
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    bare.waiting_for[i] = static_cast<std::int32_t>(program.predecessors.of(InstructionId(i)).size());
  }
  Implementation::running = &bare;
  const double begin = s4u::Engine::get_clock();
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    if (program.predecessors.of(InstructionId(i)).empty()) bare.start(i);
  }
  bare.engine->run();
  Implementation::running = nullptr;
  bare.alive.clear();
  return s4u::Engine::get_clock() - begin;
}

int count_activities(const Program& program) {
  int count = 0;
  for (const Instruction& instruction : program.instructions) count += is_activity(instruction) ? 1 : 0;
  return count;
}

}  // namespace gabra::bench
