// SPDX-License-Identifier: MIT
#include "gabra/exec/train_folds.hpp"

#include "gabra/core/error.hpp"
#include "gabra/exec/train.hpp"
#include "gabra/json/reader.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <vector>

namespace gabra::exec {
namespace {

constexpr const char* kMeasures[] = {"accuracy", "sensitivity", "specificity", "auc", "balanced_accuracy"};
constexpr const char* kMeasuredParts[] = {"validation", "test"};

/// Over those folds in which the measure is defined.
struct Mean {
  std::size_t folds = 0;
  double mean = 0.0;
  double deviation = 0.0;  ///< of a single fold, from n - 1; 0 for one
};

std::optional<Mean> mean_of(const std::vector<json::Value>& results, const std::string& part, const std::string& name) {
  std::vector<double> values;
  for (const json::Value& result : results)
    if (const json::Value& measures = result.at(part); !measures.is_null() && !measures.at(name).is_null())
      values.push_back(measures.at(name).get<double>());
  if (values.empty()) return std::nullopt;
  Mean result{.folds = values.size()};
  for (const double value : values) result.mean += value / static_cast<double>(values.size());
  double squares = 0.0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  if (values.size() > 1) result.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return result;
}

std::string shown_name(const std::string& name) { return name == "auc" ? "AUC" : name; }

std::string fold_line(const json::Value& result, std::size_t fold) {
  std::string text = fmt::format("--fold {}: ", fold);
  const json::Value& test = result.at("test");
  text += fmt::format("{} test samples", test.at("samples").get<std::int64_t>());
  for (const char* name : kMeasures)
    if (!test.at(name).is_null() && std::string_view(name) != "balanced_accuracy")
      text += fmt::format(", {} {:.3f}", shown_name(name), test.at(name).get<double>());
  if (!result.at("checkpoint").is_null())
    text += fmt::format(", checkpoint {}", result.at("checkpoint").get<std::string>());
  return text + "\n";
}

std::string people_text(const std::vector<json::Value>& results) {
  std::string text;
  for (std::size_t i = 0; i < results.size(); ++i) text += fold_line(results[i], i);
  text += fmt::format("test, mean of {} folds (deviation):", results.size());
  const char* separator = " ";
  for (const char* name : kMeasures)
    if (const auto mean = mean_of(results, "test", name); mean && std::string_view(name) != "balanced_accuracy") {
      text += fmt::format("{}{} {:.3f} ({:.3f})", separator, shown_name(name), mean->mean, mean->deviation);
      separator = ", ";
    }
  return text + "\n";
}

std::string json_text(const std::vector<json::Value>& results) {
  json::Value document{{"schema", "gabra/folds/1"}, {"command", "train"}, {"folds", results.size()}};
  for (const char* part : kMeasuredParts) {
    json::Value& means = document[part];
    for (const char* name : kMeasures) {
      const auto mean = mean_of(results, part, name);
      means[name] = mean ? json::Value(mean->mean) : json::Value();
      means[std::string(name) + "_deviation"] = mean ? json::Value(mean->deviation) : json::Value();
    }
  }
  document["results"] = results;
  return document.dump(1, ' ', false, json::Value::error_handler_t::replace) + "\n";
}

TrainJob job_of_fold(const TrainJob& job, std::int64_t fold) {
  TrainJob one = job;
  one.samples.data->trains_all_folds = false;
  one.samples.data->fold = fold;
  if (!job.checkpoints.folder.empty()) one.checkpoints.folder = fmt::format("{}/fold-{}", job.checkpoints.folder, fold);
  one.is_json = true;  // the measures are read from it
  return one;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(fmt::format("{} could not be made: {}", folder, error.message()));
}

}  // namespace

std::string train_folds(const TrainJob& job, const MpiWorld& world, Monitor& monitor) {
  const bool is_root = world.rank() == 0;
  std::vector<json::Value> results;
  for (std::int64_t fold = 0; fold < job.samples.data->folds; ++fold) {
    const TrainJob one = job_of_fold(job, fold);
    if (is_root && !one.checkpoints.folder.empty()) make_folder(one.checkpoints.folder);
    if (is_root && !job.is_quiet) fmt::print(stderr, "gabra: --fold {} of {} folds\n", fold, job.samples.data->folds);
    const std::string text = train(one, world, monitor);
    if (is_root) results.push_back(json::Value::parse(text));
  }
  if (!is_root) return "";
  return job.is_json ? json_text(results) : people_text(results);
}

}  // namespace gabra::exec
