// SPDX-License-Identifier: MIT
#include "gabra/plan/plan_file.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/json/reader.hpp"
#include "gabra/json/training.hpp"
#include "gabra/network/network_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace gabra {
namespace {

constexpr std::size_t kMostStages = 100000;

const std::vector<std::string> kSchedules{"sequential", "gpipe", "1f1b"};
const std::vector<std::string> kRecomputes{"never", "always", "except_last"};

/// Parses an embedded document with its own parser; its faults are reported as of `place` in the plan's file.
template <class Parse>
auto parse_embedded(json::ObjectReader& object, std::string_view key, Parse parse)
    -> std::shared_ptr<const decltype(parse(std::string(), std::string()))> {
  using Document = decltype(parse(std::string(), std::string()));
  const json::Value* value = object.required(key);
  if (value == nullptr) return nullptr;
  const std::string& file = object.place().file();
  try {
    return std::make_shared<const Document>(parse(value->dump(), file));
  } catch (const InputError& error) {
    const std::string own_root = file + ": $";
    for (const Fault& fault : error.faults()) {
      std::string where = object.place_of(key).text();
      if (fault.where.starts_with(own_root))
        where += fault.where.substr(own_root.size());
      else if (fault.where != file)
        where += ": " + (fault.where.starts_with(file + ": ") ? fault.where.substr(file.size() + 2) : fault.where);
      object.faults().add(std::move(where), fault.seen, fault.allowed);
    }
    return nullptr;
  }
}

/// A whole number of 64 bits without sign; seeds use them all.
std::optional<std::uint64_t> read_unsigned(json::ObjectReader& object, std::string_view key) {
  const json::Value* value = object.optional(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) return value->get<std::uint64_t>();
  object.faults().add(object.place_of(key).text(), json::seen(*value), "a whole number from 0 to 18446744073709551615");
  return std::nullopt;
}

/// Sixteen hexadecimal digits.
std::optional<std::uint64_t> read_fingerprint(json::ObjectReader& object, std::string_view key) {
  const json::Value* value = object.optional(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    std::uint64_t result = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result, 16);
    if (text.size() == 16 && error == std::errc() && end == text.data() + text.size()) return result;
  }
  object.faults().add(object.place_of(key).text(), json::seen(*value), "16 hexadecimal digits");
  return std::nullopt;
}

/// A stage as written: its devices are still names.
struct WrittenStage {
  Stage stage;
  std::vector<std::string> devices;
};

WrittenStage read_stage(const json::Value& value, const json::Place& place, FaultList& faults) {
  constexpr json::IntegerRange kUnit{0, 1 << 30};
  WrittenStage written;
  json::ObjectReader reader(value, place, faults);
  written.stage.first_unit = static_cast<std::int32_t>(reader.integer("first_unit", kUnit));
  written.stage.end_unit = static_cast<std::int32_t>(reader.integer("last_unit", kUnit)) + 1;
  written.devices = reader.texts("devices");
  written.stage.recompute = static_cast<Recompute>(reader.choice_or("recompute", kRecomputes, 0));
  reader.finish();
  return written;
}

std::vector<WrittenStage> read_stages(json::ObjectReader& object) {
  std::vector<WrittenStage> stages;
  object.list("stages", [&](const json::Value& value, const json::Place& place) {
    if (stages.size() < kMostStages) stages.push_back(read_stage(value, place, object.faults()));
  });
  return stages;
}

std::map<std::string, DeviceId, std::less<>> devices_by_name(const Cluster& cluster) {
  std::map<std::string, DeviceId, std::less<>> result;
  for (std::size_t i = 0; i < cluster.device_count(); ++i)
    result.emplace(cluster.device(DeviceId(i)).name, DeviceId(i));
  return result;
}

/// A cluster given beside the file must have the devices of the file's own, by name.
void check_same_devices(const Cluster& own, const Cluster& given, const std::string& file, FaultList& faults) {
  const auto own_names = devices_by_name(own);
  const auto given_names = devices_by_name(given);
  const auto list_missing = [&](const auto& from, const auto& in, const std::string& whose, const std::string& lacks) {
    for (const auto& [name, id] : from)
      if (!in.contains(name))
        faults.add("--cluster", fmt::format("{} device {} {}", whose, in_quotes(name), lacks),
                   fmt::format("a cluster with the devices of {}", file));
  };
  list_missing(own_names, given_names, "no", "of the plan");
  list_missing(given_names, own_names, "a", "that the plan's cluster has not");
}

/// Device names to ids of `cluster`.
std::vector<Stage> resolve(const std::vector<WrittenStage>& written, const Cluster& cluster, const json::Place& place,
                           FaultList& faults) {
  const auto ids = devices_by_name(cluster);
  std::vector<std::string> names;
  for (const auto& [name, id] : ids) names.push_back(name);
  std::vector<Stage> stages;
  for (std::size_t i = 0; i < written.size(); ++i) {
    Stage stage = written[i].stage;
    for (std::size_t j = 0; j < written[i].devices.size(); ++j) {
      const std::string& name = written[i].devices[j];
      if (const auto found = ids.find(name); found != ids.end())
        stage.devices.push_back(found->second);
      else
        faults.add(place.item(i).key("devices").item(j).text(), in_quotes(name) + did_you_mean(name, names),
                   fmt::format("a device of the cluster {}", in_quotes(cluster.name())));
    }
    stages.push_back(std::move(stage));
  }
  return stages;
}

/// Reads one plan file; the steps share the reader and the fault list.
class PlanReader {
 public:
  PlanReader(const std::string& name, FaultList& faults) : place_(name), faults_(faults) {}

  PlanFile read(const json::Value& value, std::shared_ptr<const Cluster> cluster,
                std::shared_ptr<const Profile> profile) {
    json::ObjectReader object(value, place_, faults_);
    json::check_schema(object, "plan");
    PlanFile file;
    file.problem.network = parse_embedded(
        object, "network", [](std::string_view text, const std::string& name) { return parse_network(text, name); });
    const auto own_cluster = parse_embedded(
        object, "cluster", [](std::string_view text, const std::string& name) { return parse_cluster(text, name); });
    file.problem.training = read_training(object);
    file.seed = read_unsigned(object, "seed");
    file.profile_fingerprint = read_fingerprint(object, "profile_fingerprint");
    file.plan.micro_batches = object.integer("micro_batches", {1, kMostBatch});
    file.plan.schedule = static_cast<Schedule>(object.choice("schedule", kSchedules));
    file.plan.bucket = object.bytes("bucket");
    const std::vector<WrittenStage> written = read_stages(object);
    object.finish();

    const std::size_t faults_before_cluster = faults_.size();
    if (cluster != nullptr && own_cluster != nullptr)
      check_same_devices(*own_cluster, *cluster, place_.file(), faults_);
    const bool is_replaced = cluster != nullptr && faults_.size() == faults_before_cluster;
    file.problem.cluster = own_cluster;
    if (is_replaced) file.problem.cluster = std::move(cluster);
    file.problem.profile = std::move(profile);
    if (file.problem.profile != nullptr) file.profile_fingerprint = file.problem.profile->fingerprint();
    const std::size_t faults_before = faults_.size();
    if (file.problem.cluster != nullptr)
      file.plan.stages = resolve(written, *file.problem.cluster, place_.key("stages"), faults_);
    // Only with every device resolved does the structure mean anything.
    if (file.problem.network != nullptr && file.problem.cluster != nullptr && faults_.size() == faults_before)
      add_structure_faults(file);
    return file;
  }

 private:
  void add_structure_faults(const PlanFile& file) {
    for (const Fault& fault : find_plan_faults(file.problem, file.plan))
      faults_.add(place_.text() + "." + fault.where, fault.seen, fault.allowed);
  }

  json::Place place_;
  FaultList& faults_;
};

json::Value embedded(const std::string& text) {
  FaultList faults;
  json::Value value = json::parse(text, "embedded document", faults);
  GABRA_CHECK(faults.empty(), "a document of our own writing must be JSON");
  return value;
}

json::Value to_value(const Stage& stage, const Cluster& cluster) {
  json::Value devices = json::Value::array();
  for (const DeviceId device : stage.devices) devices.push_back(cluster.device(device).name);
  return {{"first_unit", stage.first_unit},
          {"last_unit", stage.end_unit - 1},
          {"devices", std::move(devices)},
          {"recompute", to_text(stage.recompute)}};
}

}  // namespace

PlanFile parse_plan(std::string_view json_text, const std::string& name, std::shared_ptr<const Cluster> cluster,
                    std::shared_ptr<const Profile> profile) {
  FaultList faults;
  const json::Value value = json::parse(json_text, name, faults);
  // After a syntax error there is nothing to look at; duplicate keys and the like leave a value.
  if (value.is_null()) faults.throw_if_any();
  PlanFile file = PlanReader(name, faults).read(value, std::move(cluster), std::move(profile));
  faults.throw_if_any();
  return file;
}

std::string to_json_text(const PlanFile& file) {
  json::Value stages = json::Value::array();
  for (const Stage& stage : file.plan.stages) stages.push_back(to_value(stage, *file.problem.cluster));
  json::Value value{{"schema", "gabra/plan/1"},
                    {"training", to_value(file.problem.training)},
                    {"micro_batches", file.plan.micro_batches},
                    {"schedule", to_text(file.plan.schedule)},
                    {"bucket", to_exact_text(file.plan.bucket)},
                    {"stages", std::move(stages)}};
  if (file.seed) value["seed"] = *file.seed;
  if (file.problem.profile != nullptr || file.profile_fingerprint)
    value["profile_fingerprint"] = fmt::format(
        "{:016x}", file.problem.profile != nullptr ? file.problem.profile->fingerprint() : *file.profile_fingerprint);
  value["network"] = embedded(to_json_text(*file.problem.network));
  value["cluster"] = embedded(to_json_text(*file.problem.cluster));
  return value.dump(1) + "\n";
}

}  // namespace gabra
