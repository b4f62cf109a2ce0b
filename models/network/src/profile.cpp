// SPDX-License-Identifier: MIT
#include "gabra/network/profile.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/hasher.hpp"
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gabra {
namespace {

using json::ObjectReader;
using json::Place;
using json::Value;

bool is_ascending(const std::vector<LayerSample>& samples) {
  return std::adjacent_find(samples.begin(), samples.end(), [](const LayerSample& a, const LayerSample& b) {
           return a.micro_batch >= b.micro_batch;
         }) == samples.end();
}

/// On the line through (x0, y0) and (x1, y1), x0 < x1. Beyond x1 never below y1: a larger micro-batch is not predicted
/// to be faster. Before x0, where the line would meet the axis at a negative time, on the line through the origin.
Seconds on_line(double x0, Seconds y0, double x1, Seconds y1, double x) {
  const Seconds value = y0 + (y1 - y0) * ((x - x0) / (x1 - x0));
  if (x > x1) return std::max(value, y1);
  if (x < x0) return (y0 * x1 - y1 * x0).value() < 0 ? y0 * (x / x0) : value;
  return value;
}

LayerSample interpolated(const std::vector<LayerSample>& samples, std::int64_t micro_batch) {
  const auto x = static_cast<double>(micro_batch);
  if (samples.size() == 1) {
    const double factor = x / static_cast<double>(samples[0].micro_batch);
    return {micro_batch, samples[0].forward * factor, samples[0].backward * factor};
  }
  auto high = std::lower_bound(samples.begin(), samples.end(), micro_batch,
                               [](const LayerSample& sample, std::int64_t size) { return sample.micro_batch < size; });
  if (high != samples.end() && high->micro_batch == micro_batch) return *high;
  high = std::clamp(high, samples.begin() + 1, samples.end() - 1);
  const LayerSample& a = *(high - 1);
  const LayerSample& b = *high;
  const auto x0 = static_cast<double>(a.micro_batch), x1 = static_cast<double>(b.micro_batch);
  return {micro_batch, on_line(x0, a.forward, x1, b.forward, x), on_line(x0, a.backward, x1, b.backward, x)};
}

std::vector<LayerSample> read_samples(ObjectReader& layer, FaultList& faults) {
  std::vector<LayerSample> samples;
  const std::size_t faults_before = faults.size();
  layer.list("samples", [&](const Value& value, const Place& place) {
    ObjectReader object(value, place, faults);
    LayerSample sample;
    sample.micro_batch = object.integer("micro_batch", {1, std::int64_t{1} << 31});
    sample.forward = object.seconds("forward");
    sample.backward = object.seconds("backward");
    sample.bytes = object.bytes_or("bytes", Bytes(0));
    object.finish();
    samples.push_back(sample);
  });
  if (faults.size() != faults_before) return samples;
  if (samples.empty()) faults.add(layer.place_of("samples").text(), "an empty list", "at least one sample");
  if (!is_ascending(samples))
    faults.add(layer.place_of("samples").text(), "samples out of order", "micro_batch ascending, each size once");
  return samples;
}

using Layers = std::map<std::string, std::vector<LayerSample>>;

Layers read_layers(ObjectReader& kind, FaultList& faults) {
  Layers layers;
  const std::size_t faults_before = faults.size();
  kind.list("layers", [&](const Value& value, const Place& place) {
    ObjectReader object(value, place, faults);
    const std::string name = object.text("name");
    std::vector<LayerSample> samples = read_samples(object, faults);
    object.finish();
    if (!layers.emplace(name, std::move(samples)).second)
      faults.add(object.place_of("name").text(), "the layer " + in_quotes(name) + " again", "each layer once");
  });
  if (layers.empty() && faults.size() == faults_before)
    faults.add(kind.place_of("layers").text(), "an empty list", "at least one layer");
  return layers;
}

MeasuredWith read_measured_with(const Value& value, const Place& place, FaultList& faults) {
  ObjectReader object(value, place, faults);
  static const std::vector<std::string> precisions{"float32", "bfloat16"}, sums{"plain", "wide"};
  MeasuredWith result{precisions[object.choice("precision", precisions)], sums[object.choice("gradient_sum", sums)]};
  object.finish();
  return result;
}

}  // namespace

void Profile::add(const std::string& device_kind, const std::string& layer, std::vector<LayerSample> samples) {
  GABRA_CHECK(!samples.empty() && samples.front().micro_batch >= 1 && is_ascending(samples),
              "samples of a layer ascend by micro-batch size");
  samples_[device_kind][layer] = std::move(samples);
}

std::optional<LayerSample> Profile::at(const std::string& device_kind, const std::string& layer,
                                       std::int64_t micro_batch) const {
  const auto kind = samples_.find(device_kind);
  if (kind == samples_.end()) return std::nullopt;
  const auto found = kind->second.find(layer);
  if (found == kind->second.end()) return std::nullopt;
  return interpolated(found->second, micro_batch);
}

bool Profile::is_extrapolated(std::int64_t micro_batch) const {
  for (const auto& [kind, layers] : samples_)
    for (const auto& [layer, samples] : layers)
      if (micro_batch < samples.front().micro_batch || micro_batch > samples.back().micro_batch) return true;
  return false;
}

std::uint64_t Profile::fingerprint() const {
  Hasher hasher;
  for (const auto& [kind, layers] : samples_) {
    hasher.add(std::string_view(kind));
    hasher.add(static_cast<std::uint64_t>(layers.size()));
    for (const auto& [layer, samples] : layers) {
      hasher.add(std::string_view(layer));
      hasher.add(static_cast<std::uint64_t>(samples.size()));
      for (const LayerSample& sample : samples) {
        hasher.add(sample.micro_batch);
        hasher.add(sample.forward.value());
        hasher.add(sample.backward.value());
      }
    }
  }
  return hasher.value();
}

Profile parse_profile(std::string_view json_text, const std::string& name) {
  FaultList faults;
  const Value root = json::parse(json_text, name, faults);
  if (root.is_null() && !faults.empty()) faults.throw_if_any();  // a syntax error
  ObjectReader object(root, Place(name), faults);
  check_schema(object, "profile");
  std::map<std::string, Layers> kinds;
  const std::size_t faults_before = faults.size();
  object.list("device_kinds", [&](const Value& value, const Place& place) {
    ObjectReader kind(value, place, faults);
    const std::string kind_name = kind.text("name");
    Layers layers = read_layers(kind, faults);
    kind.finish();
    if (!kinds.emplace(kind_name, std::move(layers)).second)
      faults.add(kind.place_of("name").text(), "the kind " + in_quotes(kind_name) + " again", "each kind once");
  });
  if (kinds.empty() && faults.size() == faults_before)
    faults.add(object.place_of("device_kinds").text(), "an empty list", "at least one kind of device");
  std::optional<MeasuredWith> measured_with;
  if (const Value* value = object.optional("measured_with"))
    measured_with = read_measured_with(*value, object.place_of("measured_with"), faults);
  object.finish();
  faults.throw_if_any();
  Profile profile;
  if (measured_with) profile.set_measured_with(std::move(*measured_with));
  for (auto& [kind, layers] : kinds)
    for (auto& [layer, samples] : layers) profile.add(kind, layer, std::move(samples));
  return profile;
}

std::string to_json_text(const Profile& profile) {
  const auto quoted = [](const std::string& text) {
    return Value(text).dump(-1, ' ', false, nlohmann::detail::error_handler_t::replace);
  };
  std::string text = "{\n  \"schema\": \"gabra/profile/1\",\n";
  if (const auto& settings = profile.measured_with())
    text += fmt::format("  \"measured_with\": {{\"precision\": {}, \"gradient_sum\": {}}},\n",
                        quoted(settings->precision), quoted(settings->gradient_sum));
  text += "  \"device_kinds\": [";
  std::string_view kind_separator = "\n    ";
  for (const auto& [kind, layers] : profile.samples()) {
    text += fmt::format("{}{{\"name\": {}, \"layers\": [", kind_separator, quoted(kind));
    kind_separator = ",\n    ";
    std::string_view layer_separator = "\n      ";
    for (const auto& [layer, samples] : layers) {
      text += fmt::format("{}{{\"name\": {}, \"samples\": [", layer_separator, quoted(layer));
      layer_separator = ",\n      ";
      std::string_view separator = "";
      for (const LayerSample& sample : samples) {
        text += fmt::format("{}{{\"micro_batch\": {}, \"forward\": \"{}\", \"backward\": \"{}\"", separator,
                            sample.micro_batch, to_exact_text(sample.forward), to_exact_text(sample.backward));
        if (sample.bytes > Bytes(0)) text += fmt::format(", \"bytes\": \"{}\"", to_exact_text(sample.bytes));
        text += "}";
        separator = ", ";
      }
      text += "]}";
    }
    text += "\n    ]}";
  }
  return text + "\n  ]\n}\n";
}

}  // namespace gabra
