// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"
#include "gabra/json/reader.hpp"

#include <cmath>

namespace gabra {
namespace {

using json::Value;

std::string dumped(const Value& value) { return value.dump(-1, ' ', false, Value::error_handler_t::replace); }
double microseconds(Seconds time) { return static_cast<double>(std::llround(time.value() * 1e9)) / 1000.0; }

class TraceWriter {
 public:
  explicit TraceWriter(const Validation& validation) : validation_(validation) {}

  std::string write() {
    Value plans = Value::array();
    for (const ComparedStep& step : validation_.steps)
      plans.push_back({{"name", step.name},
                       {"network", step.problem.network->name()},
                       {"cluster", step.problem.cluster->name()},
                       {"step_time_s", step.measured.median_step().value()},
                       {"predicted_step_time_s", step.predicted_report.step.value()}});
    text_ = "{\"displayTimeUnit\":\"ms\",\"otherData\":" +
            dumped({{"schema", "gabra/trace/1"}, {"plans", std::move(plans)}}) + ",\"traceEvents\":[";
    for (const ComparedStep& step : validation_.steps) write_plan(step);
    return std::move(text_) + "\n]}\n";
  }

 private:
  void put(const Value& event) {
    text_ += is_first_ ? "\n" : ",\n";
    is_first_ = false;
    text_ += dumped(event);
  }

  void write_plan(const ComparedStep& step) {
    std::vector<std::string> names;
    for (const Device& device : step.problem.cluster->description().devices) names.push_back(device.name);
    for (const DeviceId device : step.program.devices)
      for (const bool is_measured : {false, true}) {
        const int pid = process(device, is_measured);
        const std::string name = (validation_.is_set ? step.name + ": " : "") + names[device.index()] +
                                 (is_measured ? " measured" : " predicted");
        put({{"ph", "M"}, {"name", "process_name"}, {"pid", pid}, {"args", {{"name", name}}}});
        put({{"ph", "M"}, {"name", "process_sort_index"}, {"pid", pid}, {"args", {{"sort_index", pid}}}});
      }
    for (std::size_t s = 0; s < step.program.streams.size(); ++s)
      for (const bool is_measured : {false, true})
        put({{"ph", "M"},
             {"name", "thread_name"},
             {"pid", process(step.program.streams[s].device, is_measured)},
             {"tid", s + 1},
             {"args", {{"name", describe(step.program.streams[s], names)}}}});
    for (std::size_t i = 0; i < step.program.instructions.size(); ++i)
      for (const bool is_measured : {false, true}) write_span(step, i, is_measured);
    first_process_ += 2 * static_cast<int>(names.size());
  }

  /// Two processes per device, the predicted one above; those of a plan behind those of the plan before.
  [[nodiscard]] int process(DeviceId device, bool is_measured) const {
    return first_process_ + 2 * device.value() + (is_measured ? 1 : 0);
  }

  void write_span(const ComparedStep& step, std::size_t i, bool is_measured) {
    const Instruction& one = step.program.instructions[i];
    const Timeline::Span& predicted = step.predicted.spans[i];
    const Timeline::Span& measured = step.measured.timeline.spans[i];
    const Timeline::Span& own = is_measured ? measured : predicted;
    const double begin = microseconds(own.begin);
    put({{"ph", "X"},
         {"name", describe(one)},
         {"cat", is_measured ? "measured" : "predicted"},
         {"pid", process(one.device, is_measured)},
         {"tid", one.stream.value() + 1},
         {"ts", begin},
         {"dur", microseconds(own.end) - begin},
         {"args",
          {{"plan", step.name},
           {"instruction", i},
           {"predicted_ms", (predicted.end - predicted.begin).value() * 1e3},
           {"measured_ms", (measured.end - measured.begin).value() * 1e3},
           {"typical_ms", step.measured.typical[i].value() * 1e3},
           {"begins_later_ms", (measured.begin - predicted.begin).value() * 1e3}}}});
  }

  const Validation& validation_;
  std::string text_;
  int first_process_ = 1;
  bool is_first_ = true;
};

}  // namespace

std::string to_perfetto_comparison(const Validation& validation) { return TraceWriter(validation).write(); }

}  // namespace gabra
