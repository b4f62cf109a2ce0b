// SPDX-License-Identifier: MIT
#include "gabra/plan/job_lines.hpp"

#include "gabra/core/check.hpp"
#include "gabra/json/reader.hpp"
#include "report_value.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gabra {
namespace {

const std::vector<std::string> kEnds{"complete", "gave_up", "over_limit"};
const std::vector<std::string> kHardware{"cpu", "cuda"};
constexpr json::IntegerRange kSteps{1, 1000000};
constexpr json::NumberRange kTime{0.0, 1e12};
constexpr json::IntegerRange kNanoseconds{0, std::int64_t{1} << 62};

std::string dumped(const json::Value& value) {
  return value.dump(-1, ' ', false, json::Value::error_handler_t::replace);
}

/// The line as a value; throws after a syntax error.
json::Value parsed(std::string_view line, const std::string& name, FaultList& faults) {
  json::Value value = json::parse(line, name, faults);
  if (value.is_null()) faults.throw_if_any();
  return value;
}

/// Checks schema and kind.
void check_kind(json::ObjectReader& object, const std::vector<std::string>& kinds, std::size_t& kind) {
  json::check_schema(object, "job");
  kind = object.choice("kind", kinds);
}

json::Value document(const std::string& text) {
  FaultList faults;
  json::Value value = json::parse(text, "own document", faults);
  GABRA_CHECK(faults.empty(), "a document of our own writing must be JSON");
  return value;
}

/// Begin and end of every instruction in a row.
Timeline read_spans(const json::Value& value, const json::Place& place, FaultList& faults) {
  Timeline timeline;
  if (!value.is_array() || value.size() % 2 != 0) {
    faults.add(place.text(), json::seen(value), "a list of begins and ends");
    return timeline;
  }
  const auto at = [&](std::size_t i) {
    const auto nanoseconds = json::as_integer(value[i], place.item(i), faults, kNanoseconds);
    return Seconds(static_cast<double>(nanoseconds.value_or(0)) / 1e9);
  };
  for (std::size_t i = 0; i < value.size(); i += 2) {
    timeline.spans.push_back({at(i), at(i + 1)});
    timeline.end = std::max(timeline.end, timeline.spans.back().end);
  }
  return timeline;
}

json::Value to_value(const Timeline& timeline) {
  json::Value spans = json::Value::array();
  for (const Timeline::Span& span : timeline.spans) {
    spans.push_back(std::max(0LL, std::llround(span.begin.value() * 1e9)));
    spans.push_back(std::max(0LL, std::llround(span.end.value() * 1e9)));
  }
  return spans;
}

MeasuredSteps read_measured(json::ObjectReader& object, FaultList& faults) {
  MeasuredSteps measured;
  measured.end = static_cast<MeasuredSteps::End>(object.choice("end", kEnds));
  object.list("steps_s", [&](const json::Value& item, const json::Place& at) {
    measured.steps.emplace_back(json::as_number(item, at, faults, kTime).value_or(0.0));
  });
  if (object.is_object() && measured.steps.empty())
    faults.add(object.place_of("steps_s").text(), "an empty list", "the time of at least one step");
  measured.disturbed = object.integer_or("disturbed_steps", 0, json::kNonNegative);
  object.list_or_empty("spans_ns", [&](const json::Value& item, const json::Place& at) {
    measured.timelines.push_back(read_spans(item, at, faults));
  });
  if (const json::Value* report = object.required("report"))
    measured.report = read_report(*report, object.place_of("report"), faults);
  return measured;
}

Refused read_refused(json::ObjectReader& object, FaultList& faults) {
  Refused refused;
  object.list("faults", [&](const json::Value& item, const json::Place& at) {
    json::ObjectReader reader(item, at, faults);
    refused.faults.push_back({reader.text("where"), reader.text("seen"), reader.text("allowed")});
    reader.finish();
  });
  return refused;
}

json::Value to_value(const MeasuredSteps& measured) {
  json::Value steps = json::Value::array();
  for (const Seconds step : measured.steps) steps.push_back(step.value());
  json::Value value{{"end", kEnds[static_cast<std::size_t>(measured.end)]}, {"steps_s", std::move(steps)}};
  if (measured.disturbed > 0) value["disturbed_steps"] = measured.disturbed;
  if (!measured.timelines.empty()) {
    json::Value timelines = json::Value::array();
    for (const Timeline& timeline : measured.timelines) timelines.push_back(to_value(timeline));
    value["spans_ns"] = std::move(timelines);
  }
  value["report"] = to_value(measured.report);
  return value;
}

json::Value to_value(const Refused& refused) {
  json::Value faults = json::Value::array();
  for (const Fault& fault : refused.faults)
    faults.push_back({{"where", fault.where}, {"seen", fault.seen}, {"allowed", fault.allowed}});
  return {{"faults", std::move(faults)}};
}

}  // namespace

std::string to_line(const JobGreeting& greeting) {
  json::Value ranks = json::Value::array();
  for (const JobRank& rank : greeting.ranks)
    ranks.push_back({{"host", rank.host}, {"device", rank.device}, {"cores", rank.cores}});
  return dumped({{"schema", kJobSchema},
                 {"kind", "ready"},
                 {"version", greeting.version},
                 {"git", greeting.git},
                 {"hardware", greeting.hardware},
                 {"threads_per_rank", greeting.threads_per_rank},
                 {"ranks", std::move(ranks)}});
}

JobGreeting parse_job_greeting(std::string_view line, const std::string& name) {
  FaultList faults;
  const json::Value value = parsed(line, name, faults);
  json::ObjectReader object(value, json::Place(name), faults);
  std::size_t kind = 0;
  check_kind(object, {"ready"}, kind);
  JobGreeting greeting;
  greeting.version = object.text("version");
  greeting.git = object.text("git");
  greeting.hardware = kHardware[object.choice("hardware", kHardware)];
  greeting.threads_per_rank = object.integer("threads_per_rank", json::kPositive);
  object.list("ranks", [&](const json::Value& item, const json::Place& at) {
    json::ObjectReader reader(item, at, faults);
    greeting.ranks.push_back({reader.text("host"), reader.text("device"), reader.integer("cores", json::kNonNegative)});
    reader.finish();
  });
  object.finish();
  faults.throw_if_any();
  return greeting;
}

std::string to_line(const MeasureRequest& request) {
  json::Value value{{"schema", kJobSchema},   {"kind", "measure"},
                    {"id", request.id},       {"warm_up", request.warm_up},
                    {"steps", request.steps}, {"step_limit_s", request.step_limit.value()},
                    {"seed", request.seed}};
  if (request.give_up_above) value["give_up_above_s"] = request.give_up_above->value();
  if (request.most_steps > 0) value["most_steps"] = request.most_steps;
  if (request.keeps_timelines) value["keeps_timelines"] = true;
  value["plan"] = document(to_json_text(request.plan));
  if (request.plan.problem.profile != nullptr) value["profile"] = document(to_json_text(*request.plan.problem.profile));
  return dumped(value);
}

MeasureRequest parse_measure_request(std::string_view line, const std::string& name) {
  FaultList faults;
  const json::Value value = parsed(line, name, faults);
  json::ObjectReader object(value, json::Place(name), faults);
  std::size_t kind = 0;
  check_kind(object, {"measure"}, kind);
  MeasureRequest request;
  request.id = object.integer("id", json::kNonNegative);
  request.warm_up = object.integer("warm_up", kSteps);
  request.steps = object.integer("steps", kSteps);
  if (const json::Value* limit = object.optional("give_up_above_s"))
    request.give_up_above =
        Seconds(json::as_number(*limit, object.place_of("give_up_above_s"), faults, kTime).value_or(0.0));
  request.step_limit = Seconds(object.number("step_limit_s", {1e-9, 1e9}));
  request.seed = static_cast<std::uint64_t>(object.integer_or("seed", 0, json::kNonNegative));
  request.most_steps = object.integer_or("most_steps", 0, kSteps);
  request.keeps_timelines = object.boolean_or("keeps_timelines", false);
  const json::Value* plan = object.required("plan");
  const json::Value* profile = object.optional("profile");
  object.finish();
  faults.throw_if_any();
  std::shared_ptr<const Profile> with;
  if (profile != nullptr) with = std::make_shared<Profile>(parse_profile(profile->dump(), name + ": $.profile"));
  request.plan = parse_plan(plan->dump(), name + ": $.plan", nullptr, std::move(with));
  return request;
}

std::string to_line(const MeasureReply& reply) {
  static const std::vector<std::string> kKinds{"measured", "infeasible", "refused"};
  json::Value value{{"schema", kJobSchema}, {"kind", kKinds[reply.result.index()]}, {"id", reply.id}};
  const json::Value fields = std::visit([](const auto& result) { return to_value(result); }, reply.result);
  for (const auto& [key, field] : fields.items()) value[key] = field;
  return dumped(value);
}

MeasureReply parse_measure_reply(std::string_view line, const std::string& name) {
  FaultList faults;
  const json::Value value = parsed(line, name, faults);
  json::ObjectReader object(value, json::Place(name), faults);
  std::size_t kind = 0;
  check_kind(object, {"measured", "infeasible", "refused"}, kind);
  MeasureReply reply;
  reply.id = object.integer("id", json::kNonNegative);
  if (faults.empty() && kind == 0) reply.result = read_measured(object, faults);
  if (faults.empty() && kind == 1) reply.result = read_infeasible(object);
  if (faults.empty() && kind == 2) reply.result = read_refused(object, faults);
  if (faults.empty()) object.finish();
  faults.throw_if_any();
  return reply;
}

std::int64_t request_id(std::string_view line) {
  FaultList faults;
  const json::Value value = json::parse(line, "request", faults);
  if (!value.is_object() || !value.contains("id") || !value["id"].is_number_integer()) return 0;
  return std::max<std::int64_t>(0, value["id"].get<std::int64_t>());
}

}  // namespace gabra
