// SPDX-License-Identifier: MIT
#include "machines.hpp"

#include "collective_fits.hpp"
#include "kinds.hpp"

#include <fmt/format.h>

#include <array>

namespace gabra::detail {
namespace {

constexpr BytesPerSecond gigabytes_per_second(double amount) { return BytesPerSecond(amount * 1e9); }
constexpr BytesPerSecond gigabits_per_second(double amount) { return BytesPerSecond(amount * 0.125e9); }

// What programs reach over a slot of 16 lanes, one direction: 0.8 of the wire's rate. Own choice.
constexpr Cable kPcie3{.bandwidth = gigabytes_per_second(12.6), .latency = Seconds(2.5e-6)};
constexpr Cable kPcie4{.bandwidth = gigabytes_per_second(25.2), .latency = Seconds(2.5e-6)};
constexpr Cable kPcie5{.bandwidth = gigabytes_per_second(50.4), .latency = Seconds(2.5e-6)};
// GeForce cards reach no peer over PCIe; the driver stages through the host's memory at half the rate. Own choice.
constexpr Cable kStagedPcie3{.bandwidth = gigabytes_per_second(6.3), .latency = Seconds(5e-6)};
constexpr Cable kStagedPcie4{.bandwidth = gigabytes_per_second(12.6), .latency = Seconds(5e-6)};
/// Between the sockets of a DGX-1. Own choice.
constexpr Cable kSocketLink{.bandwidth = gigabytes_per_second(9.6), .latency = Seconds(2.5e-6)};

struct MeshCable {
  int a;
  int b;
  int lanes;
};
/// NVLinks of a DGX-1 with V100s (`nvidia-smi topo -m`); a p3.8xlarge has those among the first four GPUs.
constexpr std::array<MeshCable, 16> kHybridCubeMesh{{{0, 1, 1},
                                                     {0, 2, 1},
                                                     {0, 3, 2},
                                                     {0, 4, 2},
                                                     {1, 2, 2},
                                                     {1, 3, 1},
                                                     {1, 5, 2},
                                                     {2, 3, 2},
                                                     {2, 6, 1},
                                                     {3, 7, 1},
                                                     {4, 5, 1},
                                                     {4, 6, 1},
                                                     {4, 7, 2},
                                                     {5, 6, 2},
                                                     {5, 7, 1},
                                                     {6, 7, 2}}};

/// NVLink 2 of a V100: 25 GB/s a lane on the wire, the rest from the fit.
Cable v100_nvlink(int lanes) {
  return {.bandwidth = gigabytes_per_second(kV100LaneGigabytes * lanes),
          .latency = Seconds(5e-6),
          .lanes = lanes,
          .is_nvlink = true};
}

/// How the devices of a machine hang on PCIe: `per_switch` of them on each switch, `per_root` on each root complex.
struct PcieTree {
  int per_switch = 2;
  int per_root = 4;
  Cable device;
  Cable trunk;                     ///< from a switch to its root complex
  bool cards_on_switches = false;  ///< one network card on each switch; else one on the first root complex
};

void add_pcie(DescriptionBuilder& builder, const PresetOptions& options, const PcieTree& tree) {
  for (int node = 0; node < options.nodes; ++node) {
    VertexId root;
    VertexId previous_root;
    VertexId pcie_switch;
    for (int i = 0; i < options.gpus; ++i) {
      if (i % tree.per_root == 0) {
        root = builder.add_switch(node, fmt::format("root{}", i / tree.per_root));
        if (previous_root.is_valid()) builder.connect(previous_root, root, kSocketLink);
        if (!previous_root.is_valid() && !tree.cards_on_switches) builder.add_network_card(node, 0, root, tree.trunk);
        previous_root = root;
      }
      if (i % tree.per_switch == 0) {
        const int index = i / tree.per_switch;
        pcie_switch = builder.add_switch(node, fmt::format("PCIe{}", index));
        builder.connect(pcie_switch, root, tree.trunk);
        if (tree.cards_on_switches) builder.add_network_card(node, index, pcie_switch, tree.trunk);
      }
      builder.connect(builder.device(node, i), pcie_switch, tree.device);
    }
  }
}

void add_cube_mesh(DescriptionBuilder& builder, const PresetOptions& options) {
  for (int node = 0; node < options.nodes; ++node)
    for (const MeshCable& cable : kHybridCubeMesh)
      if (cable.a < options.gpus && cable.b < options.gpus)
        builder.connect(builder.device(node, cable.a), builder.device(node, cable.b), v100_nvlink(cable.lanes));
}

Cluster::Description cube_mesh(const Machine& machine, const PresetOptions& options) {
  DescriptionBuilder builder(machine.name, options, "GPU", v100_kind());
  add_cube_mesh(builder, options);
  const bool has_cards_on_switches = machine.defaults.gpus == 8;
  add_pcie(
      builder, options,
      {.per_switch = 2, .per_root = 4, .device = kPcie3, .trunk = kPcie3, .cards_on_switches = has_cards_on_switches});
  builder.description().collective = v100_nvlink_parameters();
  builder.add_sources(
      {"NVLinks: hybrid cube mesh of the DGX-1 with V100s, two PCIe switches on each of two sockets (NVIDIA's DGX-1 "
       "guide)",
       "22.438 GB/s a lane of NVLink: fit in experiments/collectives; PCIe 3.0 x16 at 0.8 of the wire's rate, 9.6 GB/s "
       "between sockets and all latencies of links: own choice"});
  return builder.take();
}

/// What differs between machines whose GPUs sit behind one NVSwitch.
struct SwitchedMachine {
  DeviceKind (*kind)();
  double wire_gigabytes;  ///< NVLinks of one GPU, one direction
  int lanes;
  Cable pcie;
};

Cluster::Description switched(const Machine& machine, const PresetOptions& options, const SwitchedMachine& figures) {
  DescriptionBuilder builder(machine.name, options, "GPU", figures.kind());
  const Cable nvlink{.bandwidth = gigabytes_per_second(kA100SwitchShare * figures.wire_gigabytes),
                     .latency = Seconds(2.5e-6),
                     .lanes = figures.lanes,
                     .is_nvlink = true};
  for (int node = 0; node < options.nodes; ++node) {
    const VertexId nvswitch = builder.add_switch(node, "NVSwitch");
    for (int i = 0; i < options.gpus; ++i) builder.connect(builder.device(node, i), nvswitch, nvlink);
    for (int i = 0; i < options.gpus && options.nodes > 1; ++i) {
      const VertexId pcie_switch = builder.add_switch(node, fmt::format("PCIe{}", i));
      builder.connect(builder.device(node, i), pcie_switch, figures.pcie);
      builder.add_network_card(node, i, pcie_switch, figures.pcie);
    }
  }
  builder.description().collective = a100_nvswitch_parameters();
  builder.add_sources(
      {fmt::format(
           "one NVLink up and one down for each GPU, {} GB/s on the wire (NVIDIA's data sheet); {:.3f} of it reached: "
           "fit of an A100 node in experiments/collectives{}",
           figures.wire_gigabytes, kA100SwitchShare, machine.name == "dgx-a100" ? "" : ", assumed to hold here too"),
       "each GPU has a network card of its own behind PCIe; latencies of links: own choice"});
  return builder.take();
}

Cluster::Description dgx_a100(const Machine& machine, const PresetOptions& options) {
  return switched(machine, options, {.kind = a100_kind, .wire_gigabytes = 300, .lanes = 12, .pcie = kPcie4});
}
Cluster::Description dgx_h100(const Machine& machine, const PresetOptions& options) {
  return switched(machine, options, {.kind = h100_kind, .wire_gigabytes = 450, .lanes = 18, .pcie = kPcie5});
}
Cluster::Description dgx_h200(const Machine& machine, const PresetOptions& options) {
  return switched(machine, options, {.kind = h200_kind, .wire_gigabytes = 450, .lanes = 18, .pcie = kPcie5});
}

Cluster::Description pcie_p40(const Machine& machine, const PresetOptions& options) {
  DescriptionBuilder builder(machine.name, options, "GPU", p40_kind());
  add_pcie(builder, options, {.per_switch = 4, .per_root = 8, .device = kPcie3, .trunk = kPcie3});
  builder.description().collective = pcie_parameters();
  builder.add_sources(
      {"own choice: two PCIe 3.0 switches of four GPUs under one root complex, 0.8 of the wire's rate"});
  return builder.take();
}

Cluster::Description pcie_2080_ti(const Machine& machine, const PresetOptions& options) {
  DescriptionBuilder builder(machine.name, options, "GPU", rtx_2080_ti_kind());
  add_pcie(builder, options, {.per_switch = 2, .per_root = 4, .device = kStagedPcie3, .trunk = kPcie3});
  builder.description().collective = pcie_parameters();
  builder.add_sources(
      {"own choice: two PCIe 3.0 switches of two GPUs under one root complex; copies between GeForce cards are staged "
       "in "
       "the host's memory at half of what PCIe reaches"});
  return builder.take();
}

Cluster::Description workstation(const Machine& machine, const PresetOptions& options) {
  DescriptionBuilder builder(machine.name, options, "GPU", rtx_3090_kind());
  for (int node = 0; node < options.nodes; ++node) {
    const VertexId root = builder.add_switch(node, "root0");
    for (int i = 0; i < options.gpus; ++i) builder.connect(builder.device(node, i), root, kStagedPcie4);
    builder.add_network_card(node, 0, root, kPcie4);
  }
  builder.description().collective = pcie_parameters();
  builder.add_sources(
      {"own choice: PCIe 4.0 x16 to one root complex, no NVLink bridge; copies between GeForce cards are staged in the "
       "host's "
       "memory at half of what PCIe reaches"});
  return builder.take();
}

Cluster::Description workstation_cpu(const Machine& machine, const PresetOptions& options) {
  DescriptionBuilder builder(machine.name, options, "CPU", cpu_kind());
  const Cable memory_bus{.bandwidth = gigabytes_per_second(7.0), .latency = Seconds(1.35e-6)};
  for (int node = 0; node < options.nodes; ++node) {
    const VertexId host = builder.add_switch(node, "memory");
    for (int i = 0; i < options.gpus; ++i) builder.connect(builder.device(node, i), host, memory_bus);
    builder.add_network_card(node, 0, host, memory_bus);
  }
  builder.description().collective = cpu_parameters();
  builder.add_sources(
      {"two MPI processes of one small machine, through shared memory: 2.7 us for 4 kB, and 0.15 ms for an all-reduce "
       "of "
       "1 MB, both measured with OpenMPI; the machine itself is our own choice"});
  return builder.take();
}

PresetOptions defaults(int gpus, double fabric_gigabits, Bytes memory) {
  return {.nodes = 1, .gpus = gpus, .fabric = gigabits_per_second(fabric_gigabits), .memory = memory};
}

}  // namespace

const std::vector<Machine>& machines() {
  static const std::vector<Machine> all{
      {"dgx1-v100", "8 x V100, hybrid cube mesh of NVLinks", defaults(8, 100, v100_kind().memory), "4 network cards",
       &cube_mesh},
      {"dgx-a100", "8 x A100 behind NVSwitch", defaults(8, 200, a100_kind().memory), "8 network cards", &dgx_a100},
      {"dgx-h100", "8 x H100 behind NVSwitch", defaults(8, 400, h100_kind().memory), "8 network cards", &dgx_h100},
      {"dgx-h200", "8 x H200 behind NVSwitch", defaults(8, 400, h200_kind().memory), "8 network cards", &dgx_h200},
      {"pcie-p40x8", "8 x P40, two PCIe switches under a root complex", defaults(8, 100, p40_kind().memory),
       "1 network card", &pcie_p40},
      {"pcie-2080tix4", "4 x RTX 2080 Ti, two PCIe switches under a root complex",
       defaults(4, 10, rtx_2080_ti_kind().memory), "1 network card", &pcie_2080_ti},
      {"p3.8xlarge", "4 x V100 with 16 GiB, half a hybrid cube mesh", defaults(4, 10, gibibytes(16)), "1 network card",
       &cube_mesh},
      {"workstation-2", "2 x RTX 3090, PCIe 4.0", defaults(2, 10, rtx_3090_kind().memory), "1 network card",
       &workstation},
      {"workstation-cpu", "CPU processes of a small machine", defaults(2, 10, cpu_kind().memory), "1 network card",
       &workstation_cpu, 64}};
  return all;
}

}  // namespace gabra::detail
