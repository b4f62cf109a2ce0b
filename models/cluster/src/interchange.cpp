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

/// The cluster graph with a colour for every link, for questions of symmetry.
class SymmetryGraph {
 public:
  explicit SymmetryGraph(const Cluster::Description& description)
      : description_(description), vertices_(description.devices.size() + description.switches.size()) {
    for (const Link& link : description.links) edges_.push_back({link.from.index(), link.to.index(), colour_of(link)});
    for (const std::vector<LinkId>& links : outgoing_links(description)) {
      outgoing_.emplace_back();
      for (const LinkId id : links) outgoing_.back().push_back(edges_[id.index()]);
    }
  }

  /// Whether some renumbering of the switches makes the graph with devices `a` and `b` swapped equal to itself.
  /// Colours every vertex by what it sees, on both sides, until each has its own; where switches stay alike (no device
  /// tells them apart) the answer is no, which is safe.
  [[nodiscard]] bool can_swap(std::size_t a, std::size_t b) {
    const Device& first = description_.devices[a];
    const Device& second = description_.devices[b];
    if (first.kind != second.kind || first.node != second.node || !have_like_neighbours(a, b)) return false;
    if (links_looked_at_ > kMostLinksLookedAt) return false;
    std::vector<std::uint64_t> here = first_colours();
    std::vector<std::uint64_t> there = here;
    std::swap(there[a], there[b]);
    for (std::size_t round = 0; round < vertices_; ++round) {
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

  [[nodiscard]] std::vector<std::uint64_t> first_colours() const {
    std::vector<std::uint64_t> colours(vertices_);
    const std::size_t devices = description_.devices.size();
    for (std::size_t i = 0; i < vertices_; ++i)
      colours[i] = i < devices ? mix_bits(i + 1)
                               : mix_bits(~static_cast<std::uint64_t>(description_.switches[i - devices].node + 1));
    return colours;
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
        if (edge.to < description_.devices.size() && edge.to != a && edge.to != b)
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
  std::size_t vertices_;
  std::vector<Edge> edges_;
  std::vector<std::vector<Edge>> outgoing_;  // by vertex
};

}  // namespace

std::vector<DeviceId> find_interchange_classes(const Cluster::Description& description) {
  SymmetryGraph graph(description);
  std::vector<DeviceId> classes;
  std::vector<std::size_t> lowest;  // of each class: swaps compose, so one comparison per class is enough
  for (std::size_t i = 0; i < description.devices.size(); ++i) {
    const auto found =
        std::find_if(lowest.begin(), lowest.end(), [&](std::size_t other) { return graph.can_swap(other, i); });
    classes.push_back(DeviceId(found == lowest.end() ? i : *found));
    if (found == lowest.end()) lowest.push_back(i);
  }
  return classes;
}

}  // namespace gabra::detail
