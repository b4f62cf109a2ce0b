// SPDX-License-Identifier: MIT
#include "data_set.hpp"

#include "gabra/core/error.hpp"
#include "gabra/core/hasher.hpp"
#include "people.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <thread>

namespace gabra::exec {
namespace {

json::Value to_value(const FaultList& faults) {
  json::Value list = json::Value::array();
  for (const Fault& fault : faults.faults()) list.push_back({fault.where, fault.seen, fault.allowed});
  return list;
}

std::string dumped(const json::Value& value) {
  return value.dump(-1, ' ', false, json::Value::error_handler_t::replace);
}

template <class Work>
void collect(FaultList& faults, Work work) {
  try {
    work();
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
  }
}

std::vector<std::string> names_of(const data::Cohort& cohort, const std::vector<std::size_t>& subjects) {
  std::vector<std::string> names;
  for (const std::size_t subject : subjects) names.push_back(cohort.subjects[subject].id);
  return names;
}

/// Of people, sessions and labels in their order.
std::string fingerprint_of(const std::vector<data::Sample>& samples) {
  Hasher hasher;
  for (const data::Sample& sample : samples) {
    hasher.add(sample.key);
    hasher.add(sample.label);
  }
  return fmt::format("{:016x}", hasher.value());
}

}  // namespace

void throw_together(const MpiWorld& world, const FaultList& own) {
  const std::vector<std::string> all = world.gather(dumped(to_value(own)));
  json::Value merged = json::Value::array();
  std::set<std::string> seen;
  for (const std::string& text : all)
    for (const json::Value& fault : json::Value::parse(text))
      if (seen.insert(fault.dump()).second) merged.push_back(fault);
  FaultList faults;
  for (const json::Value& fault : json::Value::parse(world.broadcast(dumped(merged))))
    faults.add(fault.at(0), fault.at(1), fault.at(2));
  faults.throw_if_any();
}

data::PreprocessSettings settings_for(const Network& network, std::size_t classes) {
  FaultList faults;
  data::PreprocessSettings settings;
  std::vector<const Layer*> inputs;
  for (const Layer& layer : network.layers())
    if (std::holds_alternative<Input>(layer.attributes)) inputs.push_back(&layer);
  const Shape shape = inputs.size() == 1 ? inputs.front()->output : Shape{};
  if (shape.size() != 4 || shape.front() != 1)
    faults.add("--data",
               fmt::format("a network whose input is {}", shape.empty() ? "several tensors" : gabra::to_text(shape)),
               "a network that reads one volume, 1xDxHxW");
  else
    settings.extent = {shape[1], shape[2], shape[3]};
  const Shape& output = network.layers().back().output;
  if (classes > 0 && output != Shape{static_cast<std::int64_t>(classes)})
    faults.add("--task, --classes",
               fmt::format("{} classes for a network with the output {}", classes, gabra::to_text(output)),
               "one output of the network for each class");
  faults.throw_if_any();
  return settings;
}

std::unique_ptr<DataSet> prepare_data(const DataSelection& selection, const Network& network, std::uint64_t seed,
                                      const MpiWorld& world) {
  auto set = std::make_unique<DataSet>();
  FaultList faults;
  collect(faults, [&] {
    const std::string folder =
        selection.cache_folder.empty() ? data::default_cache_directory(selection.folder) : selection.cache_folder;
    set->cache = std::make_unique<data::VolumeCache>(folder, settings_for(network, 0));
  });
  throw_together(world, faults);
  // The first rank fills the cache with the cores of all of its machine; then the others find it there.
  const auto read = [&](std::size_t threads) {
    collect(faults, [&] { set->cohort = data::read_cohort(cohort_options(selection), set->cache.get(), threads); });
  };
  if (world.rank() == 0) read(std::max(1U, std::thread::hardware_concurrency()));
  throw_together(world, faults);
  if (world.rank() != 0) read(1);
  collect(faults, [&] {
    (void)settings_for(network, set->cohort.task.classes.size());
    data::SplitOptions options;
    options.seed = seed;
    options.folds = selection.folds;
    options.fold = selection.fold;
    set->split = data::split_subjects(set->cohort, options);
  });
  throw_together(world, faults);
  if (world.rank() == 0) print_left_out(set->cohort, selection.sessions);
  set->selection = selection;
  set->train = data::samples_of(set->cohort, set->split.train);
  set->validation = data::samples_of(set->cohort, set->split.validation);
  set->test = data::samples_of(set->cohort, set->split.test);
  set->class_weights = data::class_weights(set->train, set->cohort.task.classes.size());
  return set;
}

data::CohortOptions cohort_options(const DataSelection& selection) {
  data::CohortOptions options;
  options.directory = selection.folder;
  if (!selection.task.empty()) options.task = selection.task;
  options.classes = selection.classes;
  options.sessions = selection.sessions;
  options.skips_bad = selection.skips_bad;
  return options;
}

json::Value describe_data(const DataSet& data) {
  const data::PreprocessSettings& settings = data.cache->settings();
  json::Value value{{"task", data.cohort.task.name},
                    {"classes", data.cohort.task.classes},
                    {"extent", settings.extent},
                    {"voxel_mm", settings.voxel_mm},
                    {"low_percentile", settings.low_percentile},
                    {"high_percentile", settings.high_percentile},
                    {"train", names_of(data.cohort, data.split.train)},
                    {"validation", names_of(data.cohort, data.split.validation)},
                    {"test", names_of(data.cohort, data.split.test)},
                    {"train_scans", fingerprint_of(data.train)}};
  if (data.selection.folds > 0) value.update({{"folds", data.selection.folds}, {"fold", data.selection.fold}});
  return value;
}

std::string DataDescription::part_of(const std::string& subject) const {
  const auto has = [&](const std::vector<std::string>& part) {
    return std::find(part.begin(), part.end(), subject) != part.end();
  };
  return has(train) ? "train" : has(validation) ? "validation" : has(test) ? "test" : "new";
}

DataDescription parse_data_description(const std::string& json_text, const std::string& place) {
  FaultList faults;
  const json::Value value = json::parse(json_text, place, faults);
  if (value.is_null())
    throw_input_error(place, "a checkpoint of a training without scans", "a checkpoint of gabra train --data");
  json::ObjectReader object(value, json::Place(place).key("data"), faults);
  DataDescription description;
  description.task.name = object.text("task");
  description.task.classes = object.texts("classes");
  const std::vector<std::int64_t> extent = object.integers("extent", json::kPositive);
  if (extent.size() == 3)
    std::copy(extent.begin(), extent.end(), description.settings.extent.begin());
  else
    faults.add(object.place_of("extent").text(), fmt::format("{} numbers", extent.size()), "3 numbers");
  description.settings.voxel_mm = object.number("voxel_mm");
  description.settings.low_percentile = object.number("low_percentile");
  description.settings.high_percentile = object.number("high_percentile");
  description.train = object.texts("train");
  description.validation = object.texts("validation");
  description.test = object.texts("test");
  description.train_scans = object.text_or("train_scans", "");
  description.folds = object.integer_or("folds", 0, json::kNonNegative);
  description.fold = object.integer_or("fold", 0, json::kNonNegative);
  object.finish();
  if (description.task.classes.size() < 2)
    faults.add(object.place_of("classes").text(), "fewer than two", "the names of all classes");
  faults.throw_if_any();
  return description;
}

}  // namespace gabra::exec
