// SPDX-License-Identifier: MIT
#include "train_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra::exec {
namespace {

constexpr std::size_t kWarmUp = 2;

double samples_per_s(const TrainSummary& summary, const TrainJob& job) {
  const double step = median_step(summary.step_seconds);
  return step > 0.0 ? static_cast<double>(job.plan.problem.training.global_batch) / step : 0.0;
}

json::Value devices_value(const TrainSummary& summary, const TrainJob& job, const Program& program) {
  json::Value devices = json::Value::array();
  for (std::size_t r = 0; r < program.devices.size(); ++r)
    devices.push_back({{"name", job.plan.problem.cluster->device(program.devices[r]).name},
                       {"rank", r},
                       {"peak_memory_bytes", summary.peak_memory_bytes.at(r)},
                       {"peak_rss_bytes", summary.peak_rss_bytes.at(r)}});
  return devices;
}

/// A number that JSON has no word for is null.
json::Value number(double value) { return std::isfinite(value) ? json::Value(value) : json::Value(); }

}  // namespace

double median_step(const std::vector<double>& seconds) {
  if (seconds.empty()) return 0.0;
  std::vector<double> rest(seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() > kWarmUp ? kWarmUp : 0),
                           seconds.end());
  std::sort(rest.begin(), rest.end());
  const std::size_t middle = rest.size() / 2;
  return rest.size() % 2 == 1 ? rest[middle] : (rest[middle - 1] + rest[middle]) / 2.0;
}

json::Value to_value(const std::optional<PartResult>& part, const std::vector<std::string>& classes) {
  if (!part) return {};
  json::Value value = to_value(part->measures, classes);
  value["loss"] = part->loss;
  return value;
}

std::string to_text(const TrainSummary& summary, const TrainJob& job, const Program& program) {
  const Problem& problem = job.plan.problem;
  std::string text = fmt::format("trained {} for {} step{} on {} rank{} in {}: ", problem.network->name(),
                                 summary.losses.size(), summary.losses.size() == 1 ? "" : "s", program.devices.size(),
                                 program.devices.size() == 1 ? "" : "s", gabra::to_text(Seconds(summary.elapsed_s)));
  if (summary.losses.empty()) {
    text += fmt::format("step {} was done already\n", summary.steps);
  } else {
    text += fmt::format("step {} (median), {:.4g} {}/s\nloss {:.6g} -> {:.6g}\n",
                        gabra::to_text(Seconds(median_step(summary.step_seconds))), samples_per_s(summary, job),
                        job.samples_name, summary.losses.front(), summary.losses.back());
    text += "peak memory of tensors";
    for (std::size_t r = 0; r < program.devices.size(); ++r)
      text += fmt::format("{} {} {}", r == 0 ? ":" : ",", problem.cluster->device(program.devices[r]).name,
                          gabra::to_text(Bytes(summary.peak_memory_bytes.at(r))));
    text += "\n";
  }
  if (summary.validation) text += "validation: " + to_text(summary.validation->measures) + "\n";
  if (summary.test) text += "test: " + to_text(summary.test->measures) + "\n";
  if (summary.people) text += to_text(*summary.people);
  if (!summary.checkpoint.empty()) text += fmt::format("checkpoint: {}\n", summary.checkpoint);
  if (!summary.best.empty()) text += fmt::format("best on validation: {}\n", summary.best);
  return text;
}

std::string to_json_text(const TrainSummary& summary, const TrainJob& job, const Program& program,
                         const std::vector<std::string>& classes) {
  const Problem& problem = job.plan.problem;
  json::Value losses = json::Value::array();
  for (const double loss : summary.losses) losses.push_back(number(loss));
  json::Value document{
      {"schema", "gabra/train/1"},
      {"command", "train"},
      {"step_time_s", median_step(summary.step_seconds)},
      {"samples_per_s", samples_per_s(summary, job)},
      {"peak_memory_bytes", *std::max_element(summary.peak_memory_bytes.begin(), summary.peak_memory_bytes.end())},
      {"peak_rss_bytes", summary.peak_rss_bytes},
      {"elapsed_s", summary.elapsed_s},
      {"seed", summary.seed},
      {"network", problem.network->name()},
      {"cluster", problem.cluster->name()},
      {"global_batch", problem.training.global_batch},
      {"micro_batches", job.plan.plan.micro_batches},
      {"first_step", summary.first_step},
      {"steps", summary.steps},
      {"epochs", summary.epochs},
      {"losses", losses},
      {"final_loss", summary.losses.empty() ? json::Value() : losses.back()},
      {"validation", to_value(summary.validation, classes)},
      {"test", to_value(summary.test, classes)},
      {"checkpoint", summary.checkpoint.empty() ? json::Value() : json::Value(summary.checkpoint)},
      {"best", summary.best.empty() ? json::Value() : json::Value(summary.best)},
      {"data", summary.people ? to_value(*summary.people) : json::Value()},
      {"left_out", bad_value(summary.left_out)},
      {"devices", devices_value(summary, job, program)}};
  return document.dump(1, ' ', false, json::Value::error_handler_t::replace) + "\n";
}

}  // namespace gabra::exec
