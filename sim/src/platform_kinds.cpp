// SPDX-License-Identifier: MIT
#include "platform_kinds.hpp"

#include "gabra/core/error.hpp"

#include "platform_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace gabra::sim {
namespace {

// Assumed where a platform says nothing.
constexpr std::int64_t kAssumedMemory = std::int64_t{16} << 30;
constexpr double kAssumedBytesPerFlop = 0.08;  // an A100's
constexpr std::string_view kAssumptions =
    "SimGrid platform; memory of 16 GiB, 0.08 bytes of memory traffic per flop and no launch time or power are assumed";

/// Reads numbers out of the properties of one element.
class PropertyReader {
 public:
  PropertyReader(const Properties& properties, std::string place, FaultList& faults)
      : properties_(properties), place_(std::move(place)), faults_(faults) {}

  [[nodiscard]] const std::string* find(std::string_view name) const {
    const auto found = properties_.find(name);
    return found == properties_.end() ? nullptr : &found->second;
  }

  /// `count` numbers separated by blanks; none when there is no such property or, with a fault, when it is something
  /// else.
  [[nodiscard]] std::optional<std::vector<double>> numbers(std::string_view name, std::size_t count) const {
    const std::string* text = find(name);
    if (text == nullptr) return std::nullopt;
    std::vector<double> values;
    const char* at = text->data();
    const char* const end = at + text->size();
    while (at != end) {
      double value = 0.0;
      const auto [next, error] = std::from_chars(at, end, value);
      if (error != std::errc() || !(value >= 0.0) || value > 1e18) break;
      values.push_back(value);
      at = next;
      if (at != end && *at == ' ') ++at;
    }
    if (at == end && values.size() == count) return values;
    faults_.add(fmt::format("{}: property {}", place_, name), in_quotes(*text),
                count == 1 ? "a number from 0 to 1e18" : fmt::format("{} numbers from 0 to 1e18", count));
    return std::nullopt;
  }

  template <class Owner, std::size_t Count>
  void read(const std::array<NumberField<Owner>, Count>& fields, Owner& owner) const {
    for (const auto& field : fields) {
      if (const auto values = numbers(field.property, 1)) field.set(owner, values->front());
    }
  }

  [[nodiscard]] int integer_or(std::string_view name, int fallback) const {
    const auto values = numbers(name, 1);
    return values ? static_cast<int>(std::min(values->front(), 1e6)) : fallback;
  }

 private:
  const Properties& properties_;
  std::string place_;
  FaultList& faults_;
};

DeviceKind kind_of(const PlatformFacts::Host& host, const PropertyReader& reader) {
  DeviceKind kind;
  kind.peak_float32 = FlopsPerSecond(host.speed);
  kind.peak_bfloat16 = kind.peak_float32;
  kind.memory = Bytes(kAssumedMemory);
  kind.memory_bandwidth = BytesPerSecond(host.speed * kAssumedBytesPerFlop);
  kind.source = kAssumptions;
  reader.read(kKindFields, kind);
  for (std::size_t i = 0; i < kComputeClassCount; ++i) {
    const auto values = reader.numbers(fmt::format("{}{}", kEfficiencyProperty, kComputeClassNames[i]), 3);
    if (values) kind.efficiency[i] = {.flops = (*values)[0], .bandwidth = (*values)[1], .half_rows = (*values)[2]};
  }
  kind.is_calibrated = reader.integer_or(kCalibratedProperty, 0) != 0;
  if (const std::string* source = reader.find(kSourceProperty)) kind.source = *source;
  if (const std::string* name = reader.find(kKindProperty)) kind.name = *name;
  return kind;
}

bool is_same(const DeviceKind& a, const DeviceKind& b) {
  const auto is_equal = [&](const auto& field) { return field.get(a) == field.get(b); };
  for (std::size_t i = 0; i < kComputeClassCount; ++i) {
    const Efficiency& one = a.efficiency[i];
    const Efficiency& other = b.efficiency[i];
    if (one.flops != other.flops || one.bandwidth != other.bandwidth || one.half_rows != other.half_rows) return false;
  }
  return a.peak_float32 == b.peak_float32 && a.source == b.source && a.is_calibrated == b.is_calibrated &&
         std::all_of(kKindFields.begin(), kKindFields.end(), is_equal);
}

/// The kind like `kind`, added if there is none. Kinds that differ get different names.
DeviceKindId add_kind(std::vector<DeviceKind>& kinds, DeviceKind kind) {
  const std::string wanted = kind.name;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const bool is_named_alike = wanted.empty() || kinds[i].name == wanted;
    if (is_named_alike && is_same(kinds[i], kind)) return DeviceKindId(i);
  }
  const auto is_taken = [&](const std::string& name) {
    return std::any_of(kinds.begin(), kinds.end(), [&](const DeviceKind& other) { return other.name == name; });
  };
  for (int number = 1; kind.name.empty() || is_taken(kind.name); ++number) {
    kind.name = fmt::format("{} {}", wanted.empty() ? "host" : wanted, number);
  }
  kinds.push_back(std::move(kind));
  return DeviceKindId(kinds.size() - 1);
}

}  // namespace

Cluster::Description describe_devices(const PlatformFacts& facts, const std::string& path) {
  FaultList faults;
  Cluster::Description description;
  const PropertyReader whole(facts.properties, path, faults);
  const std::string* name = whole.find(kNameProperty);
  description.name = name != nullptr ? *name : path;
  description.sources.push_back("SimGrid platform " + path);
  whole.read(kCollectiveFields, description.collective);
  const std::string* source = whole.find(kCollectiveSourceProperty);
  description.collective.source = source != nullptr ? *source : "SimGrid platform; rings without overheads are assumed";
  for (const PlatformFacts::Host& host : facts.hosts) {
    const PropertyReader reader(host.properties, fmt::format("{}: host {}", path, in_quotes(host.name)), faults);
    const DeviceKindId kind = add_kind(description.kinds, kind_of(host, reader));
    description.devices.push_back({.name = host.name, .kind = kind, .node = reader.integer_or(kNodeProperty, 0)});
  }
  faults.throw_if_any();
  return description;
}

void apply_link_properties(const PlatformFacts& facts, const std::string& path, Cluster::Description& description) {
  FaultList faults;
  for (std::size_t i = 0; i < facts.cables.size(); ++i) {
    const PlatformFacts::Cable& cable = facts.cables[i];
    const PropertyReader reader(cable.properties, fmt::format("{}: link {}", path, in_quotes(cable.name)), faults);
    description.links[i].lanes = reader.integer_or(kLanesProperty, 1);
    description.links[i].is_nvlink = reader.integer_or(kNvlinkProperty, 0) != 0;
  }
  faults.throw_if_any();
}

}  // namespace gabra::sim
