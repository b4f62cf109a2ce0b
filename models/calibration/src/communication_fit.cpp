// SPDX-License-Identifier: MIT
#include "communication_fit.hpp"

#include "gabra/calibration/fits.hpp"
#include "gabra/cluster/collective.hpp"

#include "least_squares.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace gabra::detail {
namespace {

constexpr double kPoorMessages = 0.2;  // all sizes by two figures
constexpr double kPoorReductions = 0.1;
constexpr std::array kClasses{LinkClass::NvLink, LinkClass::InMachine, LinkClass::BetweenMachines};
constexpr Bytes kSmall{std::int64_t{64} << 10};             // up to here latency is what counts
constexpr Bytes kLarge{std::int64_t{1} << 20};              // from here on bandwidth is
constexpr Bytes kMostForParameters{std::int64_t{4} << 20};  // launch and steps do not show in larger ones
constexpr std::size_t kFewestSizes = 4;                     // for as many parameters

/// What the sizes of a table can tell.
struct Range {
  explicit Range(const std::vector<TransferSample>& rows) {
    std::set<Bytes> sizes;
    for (const TransferSample& row : rows) sizes.insert(row.bytes);
    count = sizes.size();
    smallest = *sizes.begin();
    largest = *sizes.rbegin();
  }
  [[nodiscard]] bool tells_latency() const { return smallest <= kSmall; }
  [[nodiscard]] bool tells_bandwidth() const { return largest >= kLarge; }

  std::size_t count = 0;
  Bytes smallest, largest;
};

/// Latency and bandwidth of messages, `known` where their sizes do not tell.
LinkFit fit_messages_to(const std::vector<TransferSample>& rows, const LinkFit& known) {
  const Range range(rows);
  LinkFit fit = known;
  if (range.tells_latency() == range.tells_bandwidth()) return fit_link(rows);
  std::vector<double> rates, latencies;
  for (const TransferSample& row : rows) {
    const double moving = (row.seconds - known.latency).value();
    if (moving > 0.0) rates.push_back(static_cast<double>(row.bytes.value()) / moving);
    latencies.push_back(std::max(0.0, (row.seconds - row.bytes / known.bandwidth).value()));
  }
  if (range.tells_latency()) fit.latency = Seconds(median(latencies));
  if (range.tells_bandwidth() && !rates.empty()) fit.bandwidth = BytesPerSecond(median(rates));
  return fit;
}

std::vector<DevicePair> ring_over(const std::vector<DeviceId>& devices) {
  std::vector<DevicePair> pairs;
  for (std::size_t i = 0; i < devices.size(); ++i) pairs.emplace_back(devices[i], devices[(i + 1) % devices.size()]);
  return pairs;
}

std::vector<DevicePair> pairs_of(const AllReduceLayout& layout) {
  std::vector<DevicePair> pairs;
  for (const CollectiveFlow& flow : layout.flows) pairs.emplace_back(flow.from, flow.to);
  return pairs;
}

/// Of the 2(n-1) steps of an all-reduce over `devices`, as many are between machines as a ring has such edges.
double crossing_steps(const Cluster& cluster, const AllReduceLayout& layout, std::size_t devices) {
  const auto crossing = std::count_if(layout.flows.begin(), layout.flows.end(), [&](const CollectiveFlow& flow) {
    return cluster.device(flow.from).node != cluster.device(flow.to).node;
  });
  return 2.0 * (static_cast<double>(devices) - 1.0) * static_cast<double>(crossing) /
         static_cast<double>(layout.flows.size());
}

/// Without what an all-reduce takes beyond its transfers.
Cluster without_collective(Cluster::Description description) {
  description.collective = {};
  return Cluster::build(std::move(description), "--cluster");
}

std::string times(double factor) { return fmt::format("bandwidth x {:.3f}", factor); }

}  // namespace

std::optional<std::vector<DeviceId>> CommunicationFitter::place_ranks(const CommunicationTable& table,
                                                                      FaultList& faults) const {
  if (static_cast<std::size_t>(table.devices) > base_.device_count()) {
    faults.add(table.place, fmt::format("a test of {} devices", table.devices),
               fmt::format("at most the {} of the cluster", base_.device_count()));
    return std::nullopt;
  }
  std::vector<DeviceId> devices;
  for (std::size_t d = 0; d < static_cast<std::size_t>(table.devices); ++d) devices.emplace_back(d);
  if (table.ranks.empty()) return devices;

  std::map<int, std::vector<DeviceId>> nodes;
  for (std::size_t d = 0; d < base_.device_count(); ++d) nodes[base_.device(DeviceId(d)).node].emplace_back(d);
  std::map<int, std::vector<RankPlace>> machines;
  for (const RankPlace& rank : table.ranks) machines[rank.machine].push_back(rank);
  std::map<int, std::vector<DeviceId>> chosen;  // by machine
  for (const auto& [machine, ranks] : machines) {
    const std::size_t needed = ranks.size();
    const auto fits =
        std::find_if(nodes.begin(), nodes.end(), [needed](const auto& node) { return node.second.size() >= needed; });
    if (fits == nodes.end()) {
      faults.add(table.place, fmt::format("a test on {} machines with up to {} devices", machines.size(), ranks.size()),
                 "no more machines, and devices in each, than the cluster has");
      return std::nullopt;
    }
    chosen[machine] = fits->second;
    nodes.erase(fits);
  }
  devices.clear();
  std::map<int, std::size_t> next;
  for (const RankPlace& rank : table.ranks) {
    const std::vector<DeviceId>& there = chosen[rank.machine];
    const std::vector<RankPlace>& ranks = machines[rank.machine];
    const bool has_all = std::all_of(ranks.begin(), ranks.end(), [&](const RankPlace& other) {
      return static_cast<std::size_t>(other.device) < there.size();
    });
    devices.push_back(there[has_all ? static_cast<std::size_t>(rank.device) : next[rank.machine]++]);
  }
  return devices;
}

void CommunicationFitter::add(const CommunicationTable& table, FaultList& faults) {
  const auto devices = place_ranks(table, faults);
  if (!devices) return;
  if (table.test == CommunicationTest::SendReceive) {
    Flows flows(base_, ring_over(*devices));
    const LinkClass link_class = flows.limiting_class();
    messages_.push_back({std::move(flows), link_class, table.rows});
    return;
  }
  CollectiveModel model(base_);
  const AllReduceLayout& layout = model.all_reduce(*devices, table.rows.front().bytes);
  if (layout.algorithm != CollectiveAlgorithm::Rings) {
    faults.add(table.place, fmt::format("a test of {} devices between which the cluster has no ring", table.devices),
               "devices with a ring");
    return;
  }
  const Flows flows(base_, pairs_of(layout));
  const bool crosses = std::any_of(flows.pairs().begin(), flows.pairs().end(),
                                   [&](const DevicePair& pair) { return flows.crosses(pair); });
  reductions_.push_back({*devices, crosses ? LinkClass::BetweenMachines : flows.limiting_class(), table.rows});
}

void CommunicationFitter::fit(Cluster::Description& description, const std::string& source, FitReport& report) {
  for (const LinkClass link_class : kClasses) fit_messages(link_class, description, report);
  bool has_parameters = false;
  for (const LinkClass link_class : kClasses) {
    const Tables tables = reductions_of(link_class);
    if (tables.empty()) continue;
    if (!has_parameters && fit_parameters(tables, description, source, report))
      has_parameters = true;
    else
      fit_links(tables, description, report);
  }
  description.sources.push_back("links: " + source);
  const Cluster fitted = Cluster::build(description, "--cluster");
  for (const LinkClass link_class : kClasses) {
    check_messages(link_class, fitted, report);
    check_reductions(reductions_of(link_class), fitted, report);
  }
}

void CommunicationFitter::fit_messages(LinkClass link_class, Cluster::Description& description, FitReport& report) {
  std::vector<TransferSample> rows;
  const Messages* first = nullptr;
  for (const Messages& messages : messages_) {
    if (messages.link_class != link_class) continue;
    if (first == nullptr) first = &messages;
    // As if all ways were as wide as the first table's.
    const double scale = first->flows.rate() / messages.flows.rate();
    for (const TransferSample& row : messages.rows)
      rows.push_back({Bytes(std::max<std::int64_t>(1, std::llround(static_cast<double>(row.bytes.value()) * scale))),
                      row.seconds});
  }
  if (first == nullptr) return;
  const Flows& flows = first->flows;
  const Range range(rows);
  const LinkFit known{.latency = base_.route(flows.slowest().first, flows.slowest().second).latency,
                      .bandwidth = BytesPerSecond(flows.rate()),
                      .quality = {}};
  const LinkFit fit = fit_messages_to(rows, known);
  const std::string name = name_of(link_class);
  if (range.tells_bandwidth()) {
    const double factor = flows.set_rate(description, link_class, fit.bandwidth.value());
    by_messages_.insert(link_class);
    report.notes.push_back(fmt::format("messages over {}: {} and {}; {}", name, to_text(fit.latency),
                                       to_text(fit.bandwidth), times(factor)));
  } else {
    report.warnings.push_back(
        fmt::format("messages over {}: none from 1 MiB, bandwidth stays {}", name, to_text(known.bandwidth)));
  }
  if (range.tells_latency()) {
    flows.set_latency(description, link_class, flows.slowest(), fit.latency);
    latency_by_messages_.insert(link_class);
  } else {
    report.warnings.push_back(
        fmt::format("messages over {}: none up to 64 KiB, latency stays {}", name, to_text(known.latency)));
  }
}

void CommunicationFitter::check_messages(LinkClass link_class, const Cluster& fitted, FitReport& report) const {
  std::vector<PredictedMeasured> pairs;
  std::string result;
  for (const Messages& messages : messages_) {
    if (messages.link_class != link_class) continue;
    const Flows flows(fitted, messages.flows.pairs());
    const auto& [from, to] = flows.slowest();
    const Seconds latency = fitted.route(from, to).latency;
    const BytesPerSecond rate(flows.rate());
    for (const TransferSample& row : messages.rows)
      pairs.push_back({(latency + row.bytes / rate).value(), row.seconds.value()});
    if (result.empty()) result = fmt::format("{} and {}", to_text(latency), to_text(rate));
  }
  if (!pairs.empty())
    report.add({fmt::format("messages over {}", name_of(link_class)), result, quality_of(pairs), kPoorMessages});
}

CommunicationFitter::Tables CommunicationFitter::reductions_of(LinkClass link_class) const {
  Tables tables;
  for (const Reductions& reductions : reductions_)
    if (reductions.link_class == link_class) tables.push_back(&reductions);
  return tables;
}

std::vector<TransferSample> CommunicationFitter::rows_of(const Tables& tables) {
  std::vector<TransferSample> rows;
  for (const Reductions* table : tables) rows.insert(rows.end(), table->rows.begin(), table->rows.end());
  return rows;
}

bool CommunicationFitter::fit_parameters(const Tables& tables, Cluster::Description& description,
                                         const std::string& source, FitReport& report) const {
  const LinkClass link_class = tables.front()->link_class;
  const std::string name = fmt::format("all-reduces over {}", name_of(link_class));
  const Range range(rows_of(tables));
  if (range.count < kFewestSizes || range.smallest > kMostForParameters) {
    report.warnings.push_back(
        fmt::format("{}: fewer than {} sizes, or none up to 4 MiB; launch and steps of an all-reduce stay what the "
                    "cluster says",
                    name, kFewestSizes));
    return false;
  }
  // Its time is 2(n-1)/n S/B and, between machines, the latency of so many steps.
  const Cluster bare = without_collective(description);
  CollectiveModel model(bare);
  const Flows flows(bare, pairs_of(model.all_reduce(tables.front()->group, range.largest)));
  const Seconds latency = latency_of_steps(tables, flows, description);
  std::vector<AllReduceSample> samples;
  for (const Reductions* table : tables)
    for (const TransferSample& row : table->rows) {
      const AllReduceLayout& layout = model.all_reduce(table->group, row.bytes);
      const auto devices = static_cast<int>(table->group.size());
      const double sent = 2.0 * (devices - 1.0) / devices * static_cast<double>(row.bytes.value());
      constexpr double kLeast = 0.05;  // what is left, where messages take too long for that
      samples.push_back({.devices = devices,
                         .bytes = row.bytes,
                         .seconds = std::max(row.seconds * kLeast,
                                             row.seconds - latency * crossing_steps(bare, layout, table->group.size())),
                         .rings = BytesPerSecond(sent / (layout.alone - layout.latency).value()),
                         .channels = layout.channels});
    }
  CollectiveFit fit = fit_collective(samples, !range.tells_bandwidth());
  if (by_messages_.contains(link_class) && fit.bandwidth_factor < 1.0) fit = fit_collective(samples, true);
  fit.parameters.tree_efficiency = description.collective.tree_efficiency;
  fit.parameters.source = source;
  description.collective = fit.parameters;
  const double factor = flows.set_rate(description, link_class, flows.rate() * fit.bandwidth_factor);
  if (range.tells_bandwidth())
    report.notes.push_back(
        fmt::format("{}: {}{}", name, times(factor),
                    by_messages_.contains(link_class) ? ", after what messages gave; the larger one counts" : ""));
  else
    report.warnings.push_back(fmt::format("{}: none from 1 MiB, bandwidth stays", name));
  if (link_class == LinkClass::BetweenMachines)
    report.warnings.emplace_back(
        "launch and steps of an all-reduce are those over machines, also inside one: a table of one machine tells them "
        "apart");
  return true;
}

Seconds CommunicationFitter::latency_of_steps(const Tables& tables, const Flows& flows,
                                              Cluster::Description& description) const {
  const auto crossing = std::find_if(flows.pairs().begin(), flows.pairs().end(),
                                     [&](const DevicePair& pair) { return flows.crosses(pair); });
  if (crossing == flows.pairs().end()) return {};
  const Cluster now = Cluster::build(description, "--cluster");
  const Seconds stated = now.route(crossing->first, crossing->second).latency;
  if (latency_by_messages_.contains(LinkClass::BetweenMachines)) return stated;
  // Of the shortest all-reduce at most half may be latency: the other half is its launch.
  CollectiveModel model(now);
  Seconds most = stated;
  for (const Reductions* table : tables)
    for (const TransferSample& row : table->rows)
      most = std::min(most, row.seconds / (2.0 * crossing_steps(now, model.all_reduce(table->group, row.bytes),
                                                                table->group.size())));
  if (most < stated) flows.set_latency(description, LinkClass::BetweenMachines, *crossing, most);
  return most;
}

void CommunicationFitter::fit_links(const Tables& tables, Cluster::Description& description, FitReport& report) const {
  const LinkClass link_class = tables.front()->link_class;
  const std::string name = fmt::format("all-reduces over {}", name_of(link_class));
  const Cluster now = Cluster::build(description, "--cluster");
  CollectiveModel model(now);
  const Range range(rows_of(tables));
  const bool is_between = link_class == LinkClass::BetweenMachines;
  const bool fits_latency = is_between && range.tells_latency() && !latency_by_messages_.contains(link_class);
  const Flows flows(now, pairs_of(model.all_reduce(tables.front()->group, range.largest)));
  const auto crossing = std::find_if(flows.pairs().begin(), flows.pairs().end(),
                                     [&](const DevicePair& pair) { return flows.crosses(pair); });
  LeastSquares<2> sums;  // of 1 / factor, and the latency of a way between machines
  for (const Reductions* table : tables)
    for (const TransferSample& row : table->rows) {
      const AllReduceLayout& layout = model.all_reduce(table->group, row.bytes);
      const Seconds transfer = layout.alone - layout.latency;
      const double steps = fits_latency ? crossing_steps(now, layout, table->group.size()) : 0.0;
      Seconds fixed = layout.latency;
      if (fits_latency)
        fixed -= steps * std::max(description.collective.step, now.route(crossing->first, crossing->second).latency);
      if (!range.tells_bandwidth()) fixed += transfer;
      sums.add({range.tells_bandwidth() ? transfer.value() : 0.0, steps}, (row.seconds - fixed).value(),
               1.0 / row.seconds.value());
    }
  const auto [per_factor, latency] = sums.solve_non_negative();
  double factor = per_factor > 0.0 ? 1.0 / per_factor : 1.0;
  if (by_messages_.contains(link_class)) factor = std::max(factor, 1.0);
  const double scale = flows.set_rate(description, link_class, flows.rate() * factor);
  report.notes.push_back(fmt::format("{}: {}", name, times(scale)));
  if (is_between && !range.tells_latency())
    report.warnings.push_back(fmt::format("{}: none up to 64 KiB, latency stays", name));
  if (!range.tells_bandwidth()) report.warnings.push_back(fmt::format("{}: none from 1 MiB, bandwidth stays", name));
  if (fits_latency) flows.set_latency(description, link_class, *crossing, Seconds(latency));
}

void CommunicationFitter::check_reductions(const Tables& tables, const Cluster& fitted, FitReport& report) const {
  if (tables.empty()) return;
  constexpr Bytes kSplit(std::int64_t{16} << 20);
  CollectiveModel model(fitted);
  std::vector<PredictedMeasured> all, small, large;
  for (const Reductions* table : tables)
    for (const TransferSample& row : table->rows) {
      const PredictedMeasured pair{model.all_reduce(table->group, row.bytes).alone.value(), row.seconds.value()};
      all.push_back(pair);
      (row.bytes < kSplit ? small : large).push_back(pair);
    }
  const CollectiveParameters& collective = fitted.description().collective;
  const LinkClass link_class = tables.front()->link_class;
  std::string name = "all-reduce";
  std::string result = fmt::format("launch {}, step {}, {:.2f} more of a round", to_text(collective.launch),
                                   to_text(collective.step), collective.round_overhead);
  if (link_class == LinkClass::BetweenMachines) {
    name += " between machines";
    const Flows flows(fitted, pairs_of(model.all_reduce(tables.front()->group, kSplit)));
    for (const DevicePair& pair : flows.pairs())
      if (flows.crosses(pair))
        result = fmt::format("{} and {} a ring", to_text(fitted.route(pair.first, pair.second).latency),
                             to_text(BytesPerSecond(flows.rate())));
  }
  report.add({name, result, quality_of(all), kPoorReductions});
  if (small.empty() || large.empty()) return;
  report.add({name + " below 16 MiB", "", quality_of(small), kPoorReductions});
  report.add({name + " from 16 MiB", "", quality_of(large), kPoorReductions});
}

}  // namespace gabra::detail
