// SPDX-License-Identifier: MIT
#include "gabra/exec/predict.hpp"

#include "data_set.hpp"
#include "evaluation.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/checkpoint.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "people.hpp"
#include "whole_network.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

namespace gabra::exec {
namespace {

/// One scan and what the network says.
struct Prediction {
  std::string subject, session, path;
  std::string part;                   ///< of the training: "train", ..., "new"; "unknown" without participants
  std::optional<std::int64_t> label;  ///< where the group is known
  std::vector<double> probabilities;
  [[nodiscard]] std::size_t predicted() const {
    return static_cast<std::size_t>(std::max_element(probabilities.begin(), probabilities.end()) -
                                    probabilities.begin());
  }
};

struct Predictions {
  Checkpoint checkpoint;
  DataDescription description;
  std::vector<Prediction> rows;
  LeftOutPeople left_out;
  [[nodiscard]] const std::vector<std::string>& classes() const { return description.task.classes; }
};

std::vector<double> predict_volume(WholeNetwork& network, const data::PreprocessSettings& settings,
                                   const std::string& path) {
  data::Volume volume = data::preprocess(data::read_nifti(path), settings, path);
  const data::Extent& extent = volume.extent;
  const at::Tensor input =
      at::from_blob(volume.voxels.data(), {1, 1, extent[0], extent[1], extent[2]}, at::kFloat).clone();
  const at::Tensor found = network.probabilities({input}).contiguous();
  return {found.const_data_ptr<double>(), found.const_data_ptr<double>() + found.numel()};
}

/// Scans given one by one; all bad ones are reported.
void predict_volumes(const PredictJob& job, WholeNetwork& network, Predictions& result) {
  FaultList faults;
  for (const std::string& path : job.volumes) try {
      Prediction row;
      row.path = path;
      row.part = "unknown";
      row.probabilities = predict_volume(network, result.description.settings, path);
      result.rows.push_back(std::move(row));
    } catch (const InputError& error) {
      for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
    }
  faults.throw_if_any();
}

void predict_cohort(const DataSelection& selection, WholeNetwork& network, Predictions& result) {
  data::CohortOptions options = cohort_options(selection);
  // Without a task, everybody with a scan; groups that the network does not know, or none, do not count for measures.
  options.takes_everybody = selection.task.empty() && selection.classes.empty();
  if (options.takes_everybody) options.classes = result.classes();
  const data::VolumeCache cache(
      selection.cache_folder.empty() ? data::default_cache_directory(selection.folder) : selection.cache_folder,
      result.description.settings);
  const data::Cohort cohort = data::read_cohort(options, &cache);
  if (cohort.task.classes != result.classes())
    throw_input_error("--task, --classes", fmt::format("classes {}", fmt::join(cohort.task.classes, ", ")),
                      fmt::format("those of the checkpoint, {}", fmt::join(result.classes(), ", ")));
  result.left_out = left_out_of(cohort, options.sessions);
  print_left_out(cohort, options.sessions);
  for (const data::Sample& sample : samples_of(cohort)) {
    const data::Subject& subject = cohort.subjects[sample.subject];
    Prediction row{subject.id,
                   subject.scans[sample.scan].session,
                   sample.path,
                   result.description.part_of(subject.id),
                   sample.label < 0 ? std::nullopt : std::optional(sample.label),
                   predict_scan(network, cache, sample.path)};
    result.rows.push_back(std::move(row));
  }
}

/// Of the rows of one part, or of all; none where no group is known.
std::optional<data::Measures> measures_of(const Predictions& predictions, const std::string& part) {
  std::vector<std::int64_t> labels;
  std::vector<double> probabilities;
  for (const Prediction& row : predictions.rows) {
    if (!row.label || (!part.empty() && row.part != part)) continue;
    labels.push_back(*row.label);
    probabilities.insert(probabilities.end(), row.probabilities.begin(), row.probabilities.end());
  }
  if (labels.empty()) return std::nullopt;
  return data::measure(labels, probabilities, predictions.classes().size());
}

constexpr const char* kAllParts[] = {"train", "validation", "test", "new"};

std::string table(const Predictions& predictions) {
  std::string text = "participant_id\tsession\tvolume\tpart\tgroup\tpredicted";
  for (const std::string& name : predictions.classes()) text += "\tp_" + name;
  text += "\n";
  const auto cell = [](const std::string& value) { return value.empty() ? std::string("n/a") : value; };
  for (const Prediction& row : predictions.rows) {
    text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}", cell(row.subject), cell(row.session), row.path, row.part,
                        row.label ? predictions.classes()[static_cast<std::size_t>(*row.label)] : "n/a",
                        predictions.classes()[row.predicted()]);
    for (const double p : row.probabilities) text += fmt::format("\t{:.6f}", p);
    text += "\n";
  }
  return text;
}

std::string people_text(const Predictions& predictions) {
  std::string text = table(predictions);
  if (const auto all = measures_of(predictions, "")) text += "\nall: " + to_text(*all) + "\n";
  for (const char* part : kAllParts)
    if (const auto measures = measures_of(predictions, part)) text += fmt::format("{}: {}\n", part, to_text(*measures));
  return text;
}

json::Value row_value(const Prediction& row, const std::vector<std::string>& classes) {
  json::Value probabilities = json::Value::object();
  for (std::size_t c = 0; c < classes.size(); ++c) probabilities[classes[c]] = row.probabilities[c];
  return {{"participant_id", row.subject.empty() ? json::Value() : json::Value(row.subject)},
          {"session", row.session.empty() ? json::Value() : json::Value(row.session)},
          {"volume", row.path},
          {"part", row.part},
          {"group", row.label ? json::Value(classes[static_cast<std::size_t>(*row.label)]) : json::Value()},
          {"predicted", classes[row.predicted()]},
          {"probabilities", probabilities}};
}

std::string json_text(const Predictions& predictions) {
  const auto measures = [&](const std::string& part) {
    const auto found = measures_of(predictions, part);
    return found ? to_value(*found, predictions.classes()) : json::Value();
  };
  json::Value document{{"schema", "gabra/predict/1"},
                       {"command", "predict"},
                       {"checkpoint", predictions.checkpoint.path},
                       {"step", predictions.checkpoint.info.step},
                       {"classes", predictions.classes()},
                       {"measures", measures("")}};
  for (const char* part : kAllParts) document["measures_by_part"][part] = measures(part);
  document["predictions"] = json::Value::array();
  for (const Prediction& row : predictions.rows)
    document["predictions"].push_back(row_value(row, predictions.classes()));
  document.update(to_value(predictions.left_out));
  return document.dump(1, ' ', false, json::Value::error_handler_t::replace) + "\n";
}

}  // namespace

std::string predict(const PredictJob& job) {
  TensorMemory::install();
  at::set_num_threads(static_cast<int>(job.threads));
  Predictions result;
  result.checkpoint = read_checkpoint(job.checkpoint);
  const CheckpointInfo& info = result.checkpoint.info;
  result.description = parse_data_description(info.data, result.checkpoint.path);
  ModelOptions options;
  options.dtype = info.training.precision == Precision::Bfloat16 ? at::kBFloat16 : at::kFloat;
  options.device = lone_device(job.hardware);
  WholeNetwork network(info.network, options);
  network.load(result.checkpoint.tensors, result.checkpoint.path);
  if (job.data)
    predict_cohort(*job.data, network, result);
  else
    predict_volumes(job, network, result);
  if (!job.table_file.empty()) write_file_atomically(job.table_file, table(result));
  return job.is_json ? json_text(result) : people_text(result);
}

}  // namespace gabra::exec
