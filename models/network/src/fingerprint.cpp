// SPDX-License-Identifier: MIT
#include "fingerprint.hpp"

#include "gabra/core/hasher.hpp"

#include "attribute_fields.hpp"

namespace gabra {
namespace {

struct HashFields {
  Hasher& hasher;

  template <class T>
  void operator()(std::string_view, const T& value) {
    add(value);
  }
  template <class T>
  void optional(std::string_view, const T& value) {
    add(value);
  }
  void add(bool value) { hasher.add(std::int64_t{value}); }
  void add(std::int64_t value) { hasher.add(value); }
  void add(double value) { hasher.add(value); }
  void add(Seconds value) { hasher.add(value.value()); }
  void add(const std::string& value) { hasher.add(std::string_view(value)); }
  void add(const std::vector<std::int64_t>& values) {
    hasher.add(static_cast<std::uint64_t>(values.size()));
    for (const std::int64_t value : values) hasher.add(value);
  }
};

}  // namespace

std::uint64_t network_fingerprint(const Network& network) {
  Hasher hasher;
  HashFields fields{hasher};
  for (const Layer& layer : network.layers()) {
    hasher.add(std::string_view(layer.name));
    hasher.add(kind_name(layer.attributes));
    std::visit([&](const auto& a) { visit_fields(a, fields); }, layer.attributes);
    hasher.add(static_cast<std::uint64_t>(layer.inputs.size()));
    for (const LayerId input : layer.inputs) hasher.add(std::int64_t{input.value()});
  }
  for (const Unit& unit : network.units()) hasher.add(std::int64_t{unit.end.value()});
  return hasher.value();
}

}  // namespace gabra
