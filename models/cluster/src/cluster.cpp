// SPDX-License-Identifier: MIT
#include "gabra/cluster/cluster.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"

#include "checks.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gabra {
namespace {

constexpr int kNever = std::numeric_limits<int>::max();

/// The best way known to a vertex during route().
struct Reached {
  int links = kNever;
  double bandwidth = 0.0;
  LinkId last;
};

}  // namespace

Cluster Cluster::build(Description description, const std::string& place) {
  FaultList faults;
  detail::check_description(description, detail::places_by_name(description, place), faults);
  faults.throw_if_any();

  Cluster cluster;
  cluster.description_ = std::move(description);
  for (Vertex& vertex : cluster.description_.switches) vertex.is_device = false;
  cluster.outgoing_ = detail::outgoing_links(cluster.description_);
  cluster.interchange_classes_ = detail::find_interchange_classes(cluster.description_);
  cluster.fingerprint_ = detail::fingerprint_of(cluster.description_);
  cluster.routes_.resize(cluster.device_count() * cluster.device_count());
  for (const StatedRoute& stated : cluster.description_.routes)
    cluster.routes_[stated.from.index() * cluster.device_count() + stated.to.index()] =
        std::make_unique<Route>(cluster.along(stated.links));
  return cluster;
}

Route Cluster::along(std::vector<LinkId> links) const {
  const BytesPerSecond first = link(links.front()).bandwidth;
  Route route{.links = std::move(links), .latency = Seconds(0.0), .bandwidth = first};
  for (const LinkId each : route.links) {
    route.latency += link(each).latency;
    route.bandwidth = std::min(route.bandwidth, link(each).bandwidth);
  }
  return route;
}

bool Cluster::is_calibrated() const {
  return std::all_of(description_.devices.begin(), description_.devices.end(),
                     [this](const Device& device) { return kind(device.kind).is_calibrated; });
}

const Route& Cluster::route(DeviceId from, DeviceId to) const {
  GABRA_CHECK(from != to && from.index() < device_count() && to.index() < device_count(), "no such pair of devices");
  std::unique_ptr<Route>& known = routes_[from.index() * device_count() + to.index()];
  if (!known) known = std::make_unique<Route>(find_route(from, to));
  return *known;
}

Route Cluster::find_route(DeviceId from, DeviceId to) const {
  // Breadth first, one round of links at a time; within a round the wider way wins, then the lower link.
  std::vector<Reached> reached(outgoing_.size());
  reached[from.index()] = {0, std::numeric_limits<double>::infinity(), LinkId()};
  std::vector<std::size_t> round{from.index()};
  for (int links = 1; reached[to.index()].links == kNever && !round.empty(); ++links) {
    std::vector<std::size_t> next;
    for (const std::size_t vertex : round)
      for (const LinkId id : outgoing_[vertex]) {
        Reached& target = reached[link(id).to.index()];
        if (target.links < links) continue;
        const bool is_switch = link(id).to.index() >= device_count();
        if (target.links == kNever && is_switch) next.push_back(link(id).to.index());
        const double bandwidth = std::min(reached[vertex].bandwidth, link(id).bandwidth.value());
        const bool is_tie_won = bandwidth == target.bandwidth && id < target.last;
        if (target.links == kNever || bandwidth > target.bandwidth || is_tie_won) target = {links, bandwidth, id};
      }
    round = std::move(next);
  }
  GABRA_CHECK(reached[to.index()].links != kNever, "build() lets no unreachable device pass");
  std::vector<LinkId> links;
  for (std::size_t vertex = to.index(); vertex != from.index();) {
    const LinkId last = reached[vertex].last;
    links.push_back(last);
    vertex = link(last).from.index();
  }
  std::reverse(links.begin(), links.end());
  return along(std::move(links));
}

}  // namespace gabra
