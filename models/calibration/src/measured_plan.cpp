// SPDX-License-Identifier: MIT
#include "gabra/calibration/measured_plan.hpp"

#include "gabra/calibration/statistics.hpp"
#include "gabra/json/reader.hpp"

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

using json::ObjectReader;
using json::Place;
using json::Value;

constexpr json::NumberRange kTime{0.0, 1e12};

std::vector<double> values_of(const std::vector<Seconds>& times) {
  std::vector<double> values;
  for (const Seconds time : times) values.push_back(time.value());
  return values;
}

std::vector<double> all_steps(const MeasuredPlan& plan) {
  std::vector<double> steps;
  for (const std::vector<Seconds>& round : plan.rounds)
    for (const Seconds step : round) steps.push_back(step.value());
  return steps;
}

void read_numbers(ObjectReader& object, const char* key, FaultList& faults, std::vector<double>& numbers) {
  object.list(key, [&](const Value& value, const Place& place) {
    numbers.push_back(json::as_number(value, place, faults, kTime).value_or(0.0));
  });
}

std::vector<Seconds> as_seconds(const std::vector<double>& numbers) {
  std::vector<Seconds> times;
  for (const double number : numbers) times.emplace_back(number);
  return times;
}

}  // namespace

Seconds MeasuredPlan::median_step() const { return Seconds(median(all_steps(*this))); }

double MeasuredPlan::noise() const {
  std::vector<double> medians;
  for (const std::vector<Seconds>& round : rounds) medians.push_back(median(values_of(round)));
  if (medians.size() < 2) return 0.0;
  const auto [low, high] = std::minmax_element(medians.begin(), medians.end());
  const double middle = median_step().value();
  return middle > 0.0 ? (*high - *low) / 2.0 / middle : 0.0;
}

void set_timelines(MeasuredPlan& plan, const std::vector<Timeline>& timelines) {
  const std::vector<double> steps = all_steps(plan);
  const double middle = median(steps);
  std::size_t nearest = 0;
  for (std::size_t i = 1; i < std::min(steps.size(), timelines.size()); ++i)
    if (std::abs(steps[i] - middle) < std::abs(steps[nearest] - middle)) nearest = i;
  if (timelines.empty()) return;
  plan.timeline = timelines[nearest];
  plan.typical.clear();
  for (std::size_t i = 0; i < plan.timeline.spans.size(); ++i) {
    std::vector<double> durations;
    for (const Timeline& timeline : timelines)
      durations.push_back((timeline.spans[i].end - timeline.spans[i].begin).value());
    plan.typical.emplace_back(median(std::move(durations)));
  }
}

std::string to_json_text(const std::vector<MeasuredPlan>& plans) {
  Value list = Value::array();
  for (const MeasuredPlan& plan : plans) {
    Value rounds = Value::array();
    for (const std::vector<Seconds>& round : plan.rounds) rounds.push_back({{"steps_s", values_of(round)}});
    Value spans = Value::array();
    for (const Timeline::Span& span : plan.timeline.spans) {
      spans.push_back(span.begin.value());
      spans.push_back(span.end.value());
    }
    Value memory = Value::array();
    for (const Bytes bytes : plan.peak_memory) memory.push_back(bytes.value());
    list.push_back({{"path", plan.path},
                    {"rounds", std::move(rounds)},
                    {"spans_s", std::move(spans)},
                    {"end_s", plan.timeline.end.value()},
                    {"typical_s", values_of(plan.typical)},
                    {"peak_memory_bytes", std::move(memory)},
                    {"infeasible", plan.infeasible}});
  }
  return Value{{"schema", "gabra/measured/1"}, {"plans", std::move(list)}}.dump(-1, ' ', false,
                                                                                Value::error_handler_t::replace) +
         "\n";
}

std::vector<MeasuredPlan> parse_measured_plans(std::string_view text, const std::string& name) {
  FaultList faults;
  const Value root = json::parse(text, name, faults);
  if (root.is_null()) faults.throw_if_any();
  ObjectReader object(root, Place(name), faults);
  json::check_schema(object, "measured");
  std::vector<MeasuredPlan> plans;
  object.list("plans", [&](const Value& value, const Place& place) {
    ObjectReader reader(value, place, faults);
    MeasuredPlan plan;
    plan.path = reader.text("path");
    reader.list("rounds", [&](const Value& item, const Place& at) {
      ObjectReader round(item, at, faults);
      std::vector<double> steps;
      read_numbers(round, "steps_s", faults, steps);
      plan.rounds.push_back(as_seconds(steps));
      round.finish();
    });
    std::vector<double> spans, typical, memory;
    read_numbers(reader, "spans_s", faults, spans);
    for (std::size_t i = 0; i + 1 < spans.size(); i += 2)
      plan.timeline.spans.push_back({Seconds(spans[i]), Seconds(spans[i + 1])});
    plan.timeline.end = Seconds(reader.number_or("end_s", 0.0));
    read_numbers(reader, "typical_s", faults, typical);
    plan.typical = as_seconds(typical);
    reader.list("peak_memory_bytes", [&](const Value& item, const Place& at) {
      plan.peak_memory.emplace_back(json::as_integer(item, at, faults, json::kNonNegative).value_or(0));
    });
    plan.infeasible = reader.text_or("infeasible", "");
    reader.finish();
    plans.push_back(std::move(plan));
  });
  object.finish();
  faults.throw_if_any();
  return plans;
}

}  // namespace gabra
