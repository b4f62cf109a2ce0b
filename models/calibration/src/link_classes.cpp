// SPDX-License-Identifier: MIT
#include "link_classes.hpp"

#include "gabra/core/check.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace gabra::detail {

const char* name_of(LinkClass link_class) {
  switch (link_class) {
    case LinkClass::NvLink:
      return "NVLinks";
    case LinkClass::InMachine:
      return "links inside machines";
    case LinkClass::BetweenMachines:
      break;
  }
  return "links between machines";
}

LinkClass class_of(const Cluster& cluster, const Link& link) {
  const auto node_of = [&cluster](VertexId vertex) {
    const std::size_t devices = cluster.device_count();
    return vertex.index() < devices ? cluster.description().devices[vertex.index()].node
                                    : cluster.description().switches[vertex.index() - devices].node;
  };
  const int from = node_of(link.from), to = node_of(link.to);
  if (from < 0 || from != to) return LinkClass::BetweenMachines;
  return link.is_nvlink ? LinkClass::NvLink : LinkClass::InMachine;
}

Flows::Flows(const Cluster& cluster, std::vector<DevicePair> pairs) : cluster_(cluster), pairs_(std::move(pairs)) {
  GABRA_CHECK(!pairs_.empty(), "flows between at least two devices");
  for (const DevicePair& pair : pairs_)
    for (const LinkId id : links_of(pair)) ++uses_[id];
  const auto order = [this](const DevicePair& pair) {
    return std::pair(rate(pair), -cluster_.route(pair.first, pair.second).latency.value());
  };
  slowest_ = *std::min_element(pairs_.begin(), pairs_.end(),
                               [&](const DevicePair& a, const DevicePair& b) { return order(a) < order(b); });
}

const std::vector<LinkId>& Flows::links_of(const DevicePair& pair) const {
  return cluster_.route(pair.first, pair.second).links;
}

double Flows::share(LinkId id) const {
  const Link& link = cluster_.link(id);
  return link.bandwidth.value() / (link.is_fat_pipe ? 1 : uses_.at(id));
}

double Flows::rate(const DevicePair& pair) const {
  double least = std::numeric_limits<double>::infinity();
  for (const LinkId id : links_of(pair)) least = std::min(least, share(id));
  return least;
}

bool Flows::crosses(const DevicePair& pair) const {
  return cluster_.device(pair.first).node != cluster_.device(pair.second).node;
}

LinkClass Flows::limiting_class() const {
  if (crosses(slowest_)) return LinkClass::BetweenMachines;
  const std::vector<LinkId>& links = links_of(slowest_);
  const LinkId narrowest =
      *std::min_element(links.begin(), links.end(), [this](LinkId a, LinkId b) { return share(a) < share(b); });
  return class_of(cluster_, cluster_.link(narrowest));
}

double Flows::set_rate(Cluster::Description& description, LinkClass link_class, double rate) const {
  const auto is_in_class = [&](LinkId id) { return class_of(cluster_, cluster_.link(id)) == link_class; };
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [id, uses] : uses_)
    if (is_in_class(id)) least = std::min(least, share(id));
  GABRA_CHECK(least < std::numeric_limits<double>::infinity(), "flows use links of the class that they measure");
  const double factor = rate / least;
  for (Link& link : description.links)
    if (class_of(cluster_, link) == link_class) link.bandwidth = BytesPerSecond(link.bandwidth.value() * factor);
  for (const DevicePair& pair : pairs_) {
    const std::vector<LinkId>& links = links_of(pair);
    if (!std::any_of(links.begin(), links.end(), is_in_class)) continue;
    for (const LinkId id : links) {
      const Link& narrow = cluster_.link(id);
      const BytesPerSecond needed(rate * (narrow.is_fat_pipe ? 1 : uses_.at(id)));
      if (is_in_class(id) || description.links[id.index()].bandwidth >= needed) continue;
      // And those that are like it: nothing tells them apart.
      for (std::size_t i = 0; i < description.links.size(); ++i) {
        const Link& now = cluster_.link(LinkId(i));
        if (now.bandwidth == narrow.bandwidth && class_of(cluster_, now) == class_of(cluster_, narrow))
          description.links[i].bandwidth = std::max(description.links[i].bandwidth, needed);
      }
    }
  }
  return factor;
}

void Flows::set_latency(Cluster::Description& description, LinkClass link_class, const DevicePair& pair,
                        Seconds latency) const {
  Seconds of_class, of_others;
  int links_of_class = 0;
  std::set<LinkClass> others;
  for (const LinkId id : links_of(pair)) {
    const Link& link = description.links[id.index()];
    const LinkClass its_class = class_of(cluster_, link);
    (its_class == link_class ? of_class : of_others) += link.latency;
    if (its_class == link_class)
      ++links_of_class;
    else
      others.insert(its_class);
  }
  if (links_of_class == 0) return;
  const Seconds wanted = std::max(Seconds(0.0), latency - of_others);
  for (Link& link : description.links) {
    const LinkClass its_class = class_of(cluster_, link);
    if (its_class == link_class)
      link.latency =
          of_class.value() > 0.0 ? link.latency * (wanted / of_class) : wanted / static_cast<double>(links_of_class);
    else if (of_others > latency && others.contains(its_class))
      link.latency = link.latency * (latency / of_others);
  }
}

}  // namespace gabra::detail
