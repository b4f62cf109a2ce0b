// SPDX-License-Identifier: MIT
#include "gabra/cluster/collective.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/rng.hpp"

#include "channels.hpp"

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

/// Groups of devices whose rings are remembered.
constexpr std::size_t kGroupsKept = 4096;
/// A generation of layouts ends when it has kLayoutsKept of them and either this many flows or kMostLayouts.
constexpr std::size_t kFlowsKept = std::size_t{1} << 18;
constexpr std::size_t kMostLayouts = 8 * CollectiveModel::kLayoutsKept;

AllReduceLayout lay_out(const detail::Channels& channels, std::size_t devices, Bytes size,
                        const CollectiveParameters& parameters) {
  const auto n = static_cast<double>(devices);
  const auto bytes = static_cast<double>(size.value());
  const double per_channel = bytes / static_cast<double>(channels.count);
  const bool is_low_latency = per_channel / n < static_cast<double>(parameters.switch_bytes.value());
  double excess = 1.0 / parameters.low_latency_share;
  if (!is_low_latency)
    excess = parameters.half_bytes.value() > 0 && bytes > 0.0
                 ? 1.0 + std::pow(static_cast<double>(parameters.half_bytes.value()) / bytes, parameters.exponent)
                 : 1.0;
  const bool is_ring = channels.algorithm == CollectiveAlgorithm::Rings;
  const double steps = is_ring ? 2.0 * (n - 1.0) : 2.0 * channels.height;
  const double rounds = is_ring ? (2.0 * (n - 1.0) + parameters.round_overhead) / n : 1.0 / parameters.tree_efficiency;
  const double flow_bytes = rounds * per_channel * excess;

  AllReduceLayout layout;
  layout.algorithm = channels.algorithm;
  layout.channels = channels.count;
  layout.latency = parameters.launch + steps * channels.step;
  layout.alone = layout.latency + Seconds(flow_bytes * channels.seconds_per_flow_byte);
  layout.flows.reserve(channels.edges.size());
  for (const auto& [from, to] : channels.edges) layout.flows.push_back({from, to, flow_bytes});
  return layout;
}

/// The same for any order of the devices.
std::uint64_t hash_of(std::span<const DeviceId> devices) {
  std::uint64_t sum = 0;
  for (const DeviceId device : devices) sum += mix_bits(static_cast<std::uint64_t>(device.value()) + 1);
  return sum;
}

}  // namespace

struct CollectiveModel::Group {
  std::uint64_t number = 0;
  std::vector<DeviceId> devices;  // ascending
  detail::Channels channels;
};

CollectiveModel::CollectiveModel(const Cluster& cluster) : cluster_(cluster) {}
CollectiveModel::CollectiveModel(CollectiveModel&&) noexcept = default;
CollectiveModel::~CollectiveModel() = default;

std::size_t CollectiveModel::LayoutKeyHash::operator()(const LayoutKey& key) const noexcept {
  return mix_bits(key.group * 0x9E3779B97F4A7C15ULL ^ static_cast<std::uint64_t>(key.bytes));
}

const CollectiveModel::Group& CollectiveModel::group(std::span<const DeviceId> devices) {
  const auto holds = [devices](const Group& known) {
    if (std::equal(known.devices.begin(), known.devices.end(), devices.begin(), devices.end())) return true;
    if (known.devices.size() != devices.size()) return false;
    return std::all_of(devices.begin(), devices.end(), [&known](DeviceId device) {
      return std::binary_search(known.devices.begin(), known.devices.end(), device);
    });
  };
  std::uint64_t key = hash_of(devices);
  for (auto found = groups_.find(key); found != groups_.end(); found = groups_.find(++key))
    if (holds(*found->second)) return *found->second;

  auto fresh = std::make_unique<Group>();
  fresh->number = next_group_++;
  fresh->devices.assign(devices.begin(), devices.end());
  std::sort(fresh->devices.begin(), fresh->devices.end());
  const bool is_distinct = std::adjacent_find(fresh->devices.begin(), fresh->devices.end()) == fresh->devices.end();
  GABRA_CHECK(!devices.empty() && is_distinct, "an all-reduce over distinct devices");
  GABRA_CHECK(fresh->devices.front().is_valid() && fresh->devices.back().index() < cluster_.device_count(),
              "devices of this cluster");
  if (devices.size() > 1) fresh->channels = detail::find_channels(cluster_, fresh->devices);
  if (groups_.size() >= kGroupsKept) {  // their layouts are never found again and grow old
    groups_.clear();
    key = hash_of(devices);
  }
  return *(groups_[key] = std::move(fresh));
}

const AllReduceLayout& CollectiveModel::all_reduce(std::span<const DeviceId> devices, Bytes size) {
  GABRA_CHECK(size.value() >= 0, "an all-reduce of zero or more bytes");
  const Group& members = group(devices);
  const LayoutKey key{members.number, size.value()};
  if (const auto found = recent_.find(key); found != recent_.end()) return found->second;

  const bool is_full =
      recent_.size() >= kLayoutsKept && (recent_.size() >= kMostLayouts || recent_flows_ >= kFlowsKept);
  Layouts dropped;
  if (is_full) {
    dropped = std::move(earlier_);
    earlier_ = std::move(recent_);
    recent_.clear();
    recent_flows_ = 0;
  }
  AllReduceLayout* result = nullptr;
  if (auto node = earlier_.extract(key)) {  // keeps its address
    result = &recent_.insert(std::move(node)).position->second;
  } else {
    AllReduceLayout layout;
    if (devices.size() > 1)
      layout = lay_out(members.channels, members.devices.size(), size, cluster_.description().collective);
    result = &recent_.emplace(key, std::move(layout)).first->second;
  }
  recent_flows_ += result->flows.size();
  return *result;
}

}  // namespace gabra
