// SPDX-License-Identifier: MIT
#include "gabra/cluster/presets.hpp"

#include "gabra/json/reader.hpp"

#include "checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace gabra {
namespace {

constexpr json::IntegerRange kNode{0, std::numeric_limits<int>::max()};
constexpr json::IntegerRange kSwitchNode{-1, std::numeric_limits<int>::max()};
constexpr json::IntegerRange kLanes{1, 1024};
constexpr json::IntegerRange kThreads{1, 1024};

/// Reads the parts of one file in order; faults go to the list, and what is faulty gets a harmless value.
class ClusterReader {
 public:
  ClusterReader(const json::Value& root, const std::string& file, FaultList& faults)
      : root_(root, json::Place(file), faults), file_(file), faults_(faults) {}

  Cluster::Description read() {
    json::check_schema(root_, "cluster");
    description_.name = root_.text_or("name", file_);
    root_.list("kinds", [this](const json::Value& value, const json::Place& place) { read_kind(value, place); });
    root_.list("devices", [this](const json::Value& value, const json::Place& place) { read_device(value, place); });
    root_.list_or_empty("switches",
                        [this](const json::Value& value, const json::Place& place) { read_switch(value, place); });
    number_vertices();
    root_.list_or_empty("links",
                        [this](const json::Value& value, const json::Place& place) { read_link(value, place); });
    for (std::size_t i = 0; i < description_.links.size(); ++i) links_.emplace(description_.links[i].name, LinkId(i));
    root_.list_or_empty("routes",
                        [this](const json::Value& value, const json::Place& place) { read_route(value, place); });
    if (const json::Value* value = root_.optional("collective")) read_collective(*value);
    if (root_.has("sources")) description_.sources = root_.texts("sources");
    root_.finish();
    return std::move(description_);
  }

  /// Of the parts read, for checks that come after.
  [[nodiscard]] detail::DescriptionPlaces places() const {
    const auto item = [this](const char* list) {
      return [place = root_.place().key(list)](std::size_t i) { return place.item(i).text(); };
    };
    const auto link = [items = link_items_, place = root_.place().key("links")](std::size_t i) {
      return place.item(items[i]).text();
    };
    const auto route = [items = route_items_, place = root_.place().key("routes")](std::size_t i) {
      return place.item(items[i]).text();
    };
    return {.kind = item("kinds"),
            .device = item("devices"),
            .vertex = item("switches"),
            .link = link,
            .route = route,
            .devices = root_.place().key("devices").text(),
            .switches = root_.place().key("switches").text(),
            .links = root_.place().key("links").text(),
            .collective = root_.place().key("collective").text()};
  }
  /// Whether every link and device became part of the description, so that its graph can be judged.
  [[nodiscard]] bool is_whole() const { return is_whole_; }

 private:
  void read_kind(const json::Value& value, const json::Place& place) {
    json::ObjectReader object(value, place, faults_);
    DeviceKind kind;
    kind.name = read_name(object);
    kind.peak_float32 = object.flops_per_second("peak_float32");
    kind.peak_bfloat16 = object.has("peak_bfloat16") ? object.flops_per_second("peak_bfloat16") : kind.peak_float32;
    const std::size_t faults_before = faults_.size();
    kind.memory = object.bytes("memory");
    if (faults_.size() > faults_before) kind.memory = Bytes(std::numeric_limits<std::int64_t>::max());
    kind.base_memory = object.bytes_or("base_memory", Bytes(0));
    kind.memory_bandwidth = object.bytes_per_second("memory_bandwidth");
    kind.launch = object.seconds_or("launch", Seconds(0.0));
    if (object.has("launch_ahead"))
      kind.launch_ahead = static_cast<LaunchAhead>(object.choice("launch_ahead", {"pass", "layer"}));
    kind.idle_power = object.watts_or("idle_power", Watts(0.0));
    kind.busy_power = object.watts_or("busy_power", Watts(0.0));
    kind.communication_slowdown = object.number_or("communication_slowdown", 1.0);
    if (object.has("receive_slowdown")) kind.receive_slowdown = object.number("receive_slowdown");
    if (object.has("send_slowdown")) kind.send_slowdown = object.number("send_slowdown");
    kind.neighbour_slowdown = object.number_or("neighbour_slowdown", 1.0);
    kind.instruction_overhead = object.seconds_or("instruction_overhead", Seconds(0.0));
    kind.step_overhead = object.seconds_or("step_overhead", Seconds(0.0));
    kind.copies_layout = object.boolean_or("copies_layout", false);
    if (object.has("update_bandwidth")) kind.update_bandwidth = object.bytes_per_second("update_bandwidth");
    if (const json::Value* efficiency = object.optional("efficiency"))
      read_efficiencies(*efficiency, place.key("efficiency"), kind);
    kind.is_calibrated = object.boolean_or("is_calibrated", false);
    if (const json::Value* measured_on = object.optional("measured_on"))
      kind.measured_on = read_measured_on(*measured_on, place.key("measured_on"));
    kind.source = object.text_or("source", "");
    object.finish();
    description_.kinds.push_back(std::move(kind));
  }

  /// What was reported as missing or wrong gets a name of its own, so that it is not reported again.
  std::string read_name(json::ObjectReader& object) {
    const std::size_t faults_before = faults_.size();
    std::string name = object.text("name");
    const bool is_read = object.is_object() && faults_.size() == faults_before;
    return is_read ? name : object.place().text();
  }

  void read_efficiencies(const json::Value& value, const json::Place& place, DeviceKind& kind) {
    json::ObjectReader classes(value, place, faults_);
    for (std::size_t i = 0; i < kComputeClassCount; ++i) {
      const json::Value* found = classes.optional(kComputeClassNames[i]);
      if (found == nullptr) continue;
      json::ObjectReader object(*found, place.key(kComputeClassNames[i]), faults_);
      kind.efficiency[i].flops = object.number_or("flops", 1.0);
      kind.efficiency[i].bandwidth = object.number_or("bandwidth", 1.0);
      kind.efficiency[i].half_rows = object.number_or("half_rows", 0.0);
      object.finish();
    }
    classes.finish();
  }

  MeasuredOn read_measured_on(const json::Value& value, const json::Place& place) {
    json::ObjectReader object(value, place, faults_);
    MeasuredOn result;
    result.hardware = static_cast<MeasuredOn::Hardware>(object.choice("device", {"cpu", "cuda"}));
    result.threads_per_rank = object.integer_or("threads_per_rank", 1, kThreads);
    object.finish();
    return result;
  }

  void read_device(const json::Value& value, const json::Place& place) {
    json::ObjectReader object(value, place, faults_);
    Device device{.name = read_name(object), .kind = {}, .node = 0};
    if (const json::Value* kind = object.required("kind"))
      if (const auto name = json::as_text(*kind, place.key("kind"), faults_)) device.kind = find_kind(*name, place);
    if (!device.kind.is_valid()) is_whole_ = false;
    device.node = static_cast<int>(object.integer_or("node", 0, kNode));
    object.finish();
    description_.devices.push_back(std::move(device));
  }

  DeviceKindId find_kind(const std::string& name, const json::Place& place) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < description_.kinds.size(); ++i) {
      if (description_.kinds[i].name == name) return DeviceKindId(i);
      names.push_back(description_.kinds[i].name);
    }
    faults_.add(place.key("kind").text(), "the unknown kind " + in_quotes(name) + did_you_mean(name, names),
                "the name of one of $.kinds");
    return {};
  }

  void read_switch(const json::Value& value, const json::Place& place) {
    json::ObjectReader object(value, place, faults_);
    Vertex vertex{.name = read_name(object), .node = 0, .is_device = false};
    vertex.node = static_cast<int>(object.integer_or("node", 0, kSwitchNode));
    object.finish();
    description_.switches.push_back(std::move(vertex));
  }

  void number_vertices() {
    std::size_t number = 0;
    for (const Device& device : description_.devices) vertices_.emplace(device.name, VertexId(number++));
    for (const Vertex& vertex : description_.switches) vertices_.emplace(vertex.name, VertexId(number++));
  }

  VertexId read_end(json::ObjectReader& object, const char* key) {
    const json::Value* value = object.required(key);
    if (value == nullptr) return {};
    const auto name = json::as_text(*value, object.place_of(key), faults_);
    if (!name) return {};
    if (const auto found = vertices_.find(*name); found != vertices_.end()) return found->second;
    faults_.add(object.place_of(key).text(), "the unknown vertex " + in_quotes(*name),
                "the name of one of $.devices or $.switches");
    return {};
  }

  void read_link(const json::Value& value, const json::Place& place) {
    const std::size_t item = next_link_item_++;
    json::ObjectReader object(value, place, faults_);
    Link link;
    link.from = read_end(object, "from");
    link.to = read_end(object, "to");
    link.bandwidth = object.bytes_per_second("bandwidth");
    link.latency = object.seconds_or("latency", Seconds(0.0));
    link.lanes = static_cast<int>(object.integer_or("lanes", 1, kLanes));
    link.is_fat_pipe = object.boolean_or("fat_pipe", false);
    link.is_nvlink = object.boolean_or("nvlink", false);
    const std::size_t faults_before = faults_.size();
    const bool is_duplex = object.boolean_or("duplex", false);
    if (faults_.size() > faults_before) is_whole_ = false;
    const bool has_name = object.has("name");
    const std::string name = object.text_or("name", "");
    object.finish();
    if (!link.from.is_valid() || !link.to.is_valid()) {
      is_whole_ = false;
      return;
    }
    link.name = has_name ? name : default_name(link);
    add_link(link, item);
    if (!is_duplex) return;
    std::swap(link.from, link.to);
    link.name = has_name ? name + " back" : default_name(link);
    add_link(std::move(link), item);
  }

  void read_route(const json::Value& value, const json::Place& place) {
    json::ObjectReader object(value, place, faults_);
    const VertexId from = read_end(object, "from");
    const VertexId to = read_end(object, "to");
    StatedRoute route{.from = DeviceId(from.value()), .to = DeviceId(to.value()), .links = {}};
    bool is_sound = from.is_valid() && to.is_valid();
    object.list("links", [&](const json::Value& item, const json::Place& item_place) {
      const auto name = json::as_text(item, item_place, faults_);
      const auto found = name ? links_.find(*name) : links_.end();
      if (name && found == links_.end())
        faults_.add(item_place.text(), "the unknown link " + in_quotes(*name), "the name of one of $.links");
      is_sound = is_sound && found != links_.end();
      if (found != links_.end()) route.links.push_back(found->second);
    });
    object.finish();
    is_whole_ = is_whole_ && is_sound;
    const std::size_t item = next_route_item_++;
    if (!is_sound) return;
    description_.routes.push_back(std::move(route));
    route_items_.push_back(item);
  }

  void add_link(Link link, std::size_t item) {
    description_.links.push_back(std::move(link));
    link_items_.push_back(item);
  }

  std::string default_name(const Link& link) {
    const auto name_of = [this](VertexId id) -> const std::string& {
      const std::size_t devices = description_.devices.size();
      return id.index() < devices ? description_.devices[id.index()].name
                                  : description_.switches[id.index() - devices].name;
    };
    const std::string name = fmt::format("{}->{}", name_of(link.from), name_of(link.to));
    const int count = ++default_names_[name];
    return count == 1 ? name : fmt::format("{}#{}", name, count);
  }

  void read_collective(const json::Value& value) {
    json::ObjectReader object(value, root_.place_of("collective"), faults_);
    CollectiveParameters& collective = description_.collective;
    collective.launch = object.seconds_or("launch", Seconds(0.0));
    collective.step = object.seconds_or("step", Seconds(0.0));
    collective.round_overhead = object.number_or("round_overhead", 0.0);
    collective.half_bytes = object.bytes_or("half_bytes", Bytes(0));
    collective.exponent = object.number_or("exponent", 1.0);
    collective.low_latency_share = object.number_or("low_latency_share", 1.0);
    collective.switch_bytes = object.bytes_or("switch_bytes", Bytes(0));
    collective.tree_efficiency = object.number_or("tree_efficiency", 1.0);
    collective.source = object.text_or("source", "");
    object.finish();
  }

  json::ObjectReader root_;
  std::string file_;
  FaultList& faults_;
  Cluster::Description description_;
  std::map<std::string, VertexId> vertices_;
  std::map<std::string, LinkId> links_;
  std::map<std::string, int> default_names_;
  std::vector<std::size_t> link_items_;  // by link: its place in the file's list
  std::size_t next_link_item_ = 0;
  std::vector<std::size_t> route_items_;  // likewise
  std::size_t next_route_item_ = 0;
  bool is_whole_ = true;
};

}  // namespace

Cluster parse_cluster(std::string_view json_text, const std::string& name) {
  FaultList faults;
  const json::Value root = json::parse(json_text, name, faults);
  if (root.is_null()) faults.throw_if_any();
  ClusterReader reader(root, name, faults);
  Cluster::Description description = reader.read();
  detail::check_description(description, reader.places(), faults, reader.is_whole());
  faults.throw_if_any();
  return Cluster::build(std::move(description), name);
}

}  // namespace gabra
