// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"

#include "checks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>

namespace gabra::detail {
namespace {

/// What a link is worth, whatever it joins.
std::uint64_t colour_of(const Link& link) {
  std::uint64_t colour = mix_bits(std::bit_cast<std::uint64_t>(link.bandwidth.value()));
  colour = mix_bits(colour ^ std::bit_cast<std::uint64_t>(link.latency.value()));
  colour = mix_bits(colour ^ static_cast<std::uint64_t>(link.lanes));
  return mix_bits(colour ^ (link.is_fat_pipe ? 1U : 0U) ^ (link.is_nvlink ? 2U : 0U));
}

/// Node of a device or switch.
int node_of(const Cluster::Description& description, std::size_t vertex) {
  const std::size_t devices = description.devices.size();
  return vertex < devices ? description.devices[vertex].node : description.switches[vertex - devices].node;
}

/// The links of one machine and whatever they join, numbered afresh, for questions of symmetry.
class MachineGraph {
 public:
  MachineGraph(const Cluster::Description& description, int node) : description_(description) {
    for (const Link& link : description.links)
      if (node_of(description, link.from.index()) == node || node_of(description, link.to.index()) == node) {
        const std::size_t from = local(link.from.index());
        edges_.push_back({from, local(link.to.index()), colour_of(link)});
      }
    for (const std::size_t vertex : vertices_) {
      const bool is_movable = vertex >= description.devices.size() && node_of(description, vertex) == node;
      first_colours_.push_back(is_movable ? 0 : mix_bits(vertex + 1));
    }
    outgoing_.resize(vertices_.size());
    for (const Edge& edge : edges_) outgoing_[edge.from].push_back(edge);
  }

  /// Whether some renumbering of the machine's switches makes the graph with devices `first` and `second` swapped equal
  /// to itself. Colours every vertex by what it sees, on both sides, until each has its own; where switches stay alike
  /// (no device tells them apart) the answer is no, which is safe.
  [[nodiscard]] bool can_swap(std::size_t first, std::size_t second) {
    if (description_.devices[first].kind != description_.devices[second].kind) return false;
    const auto a = numbers_.find(first);
    const auto b = numbers_.find(second);
    if (a == numbers_.end() || b == numbers_.end() || !have_like_neighbours(a->second, b->second)) return false;
    if (links_looked_at_ > kMostLinksLookedAt) return false;
    std::vector<std::uint64_t> here = first_colours_;
    std::vector<std::uint64_t> there = here;
    std::swap(there[a->second], there[b->second]);
    for (std::size_t round = 0; round < vertices_.size(); ++round) {
      const std::size_t before = colour_count(here);
      here = refined(here);
      there = refined(there);
      links_looked_at_ += edges_.size();
      if (colour_count(here) == before) break;
    }
    return is_same_graph(here, there);
  }

 private:
  struct Edge {
    std::size_t from;
    std::size_t to;
    std::uint64_t colour;
  };

  std::size_t local(std::size_t vertex) {
    const auto [found, is_new] = numbers_.emplace(vertex, vertices_.size());
    if (is_new) vertices_.push_back(vertex);
    return found->second;
  }

  [[nodiscard]] std::vector<std::uint64_t> refined(const std::vector<std::uint64_t>& colours) const {
    std::vector<std::uint64_t> sums(colours.size());
    for (std::size_t i = 0; i < colours.size(); ++i) sums[i] = mix_bits(colours[i]);
    for (const Edge& edge : edges_) {  // sums do not depend on the order of links
      sums[edge.from] += mix_bits(colours[edge.to] ^ edge.colour);
      sums[edge.to] += mix_bits(mix_bits(colours[edge.from]) + edge.colour);
    }
    return sums;
  }

  [[nodiscard]] static std::size_t colour_count(std::vector<std::uint64_t> colours) {
    std::sort(colours.begin(), colours.end());
    return static_cast<std::size_t>(std::unique(colours.begin(), colours.end()) - colours.begin());
  }

  /// Direct links to third devices must be the same ones: a quick no for most pairs of a mesh.
  [[nodiscard]] bool have_like_neighbours(std::size_t a, std::size_t b) const {
    const auto sum = [&](std::size_t from) {
      std::uint64_t total = 0;
      for (const Edge& edge : outgoing_[from])
        if (vertices_[edge.to] < description_.devices.size() && edge.to != a && edge.to != b)
          total += mix_bits(edge.to ^ edge.colour);
      return total;
    };
    return sum(a) == sum(b);
  }

  [[nodiscard]] bool is_same_graph(const std::vector<std::uint64_t>& here,
                                   const std::vector<std::uint64_t>& there) const {
    if (colour_count(here) != here.size()) return false;
    std::map<std::uint64_t, std::size_t> vertex_there;
    for (std::size_t i = 0; i < there.size(); ++i) vertex_there[there[i]] = i;
    std::vector<std::size_t> image(here.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      const auto found = vertex_there.find(here[i]);
      if (found == vertex_there.end()) return false;
      image[i] = found->second;
    }
    std::vector<std::array<std::uint64_t, 3>> plain;
    std::vector<std::array<std::uint64_t, 3>> mapped;
    for (const Edge& edge : edges_) {
      plain.push_back({edge.from, edge.to, edge.colour});
      mapped.push_back({image[edge.from], image[edge.to], edge.colour});
    }
    std::sort(plain.begin(), plain.end());
    std::sort(mapped.begin(), mapped.end());
    return plain == mapped;
  }

  /// Large, nearly symmetric graphs would take for ever; what is left unasked counts as different.
  static constexpr std::size_t kMostLinksLookedAt = 20'000'000;

  const Cluster::Description& description_;
  std::size_t links_looked_at_ = 0;
  std::map<std::size_t, std::size_t> numbers_;  // by vertex of the cluster
  std::vector<std::size_t> vertices_;           // the reverse
  std::vector<std::uint64_t> first_colours_;
  std::vector<Edge> edges_;
  std::vector<std::vector<Edge>> outgoing_;  // by vertex
};

}  // namespace

std::vector<DeviceId> find_interchange_classes(const Cluster::Description& description) {
  std::map<int, std::vector<std::size_t>> machines;
  for (std::size_t i = 0; i < description.devices.size(); ++i) machines[description.devices[i].node].push_back(i);
  std::vector<DeviceId> classes(description.devices.size());
  if (!description.routes.empty()) {  // the graph does not tell all of the truth: no device counts as like another
    for (std::size_t i = 0; i < classes.size(); ++i) classes[i] = DeviceId(i);
    return classes;
  }
  for (const auto& [node, devices] : machines) {
    MachineGraph graph(description, node);
    std::vector<std::size_t> lowest;  // of each class: swaps compose, so one comparison per class is enough
    for (const std::size_t device : devices) {
      const auto found =
          std::find_if(lowest.begin(), lowest.end(), [&](std::size_t other) { return graph.can_swap(other, device); });
      classes[device] = DeviceId(found == lowest.end() ? device : *found);
      if (found == lowest.end()) lowest.push_back(device);
    }
  }
  return classes;
}

}  // namespace gabra::detail
