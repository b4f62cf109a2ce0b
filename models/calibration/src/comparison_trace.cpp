// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"
#include "gabra/json/reader.hpp"

#include <cmath>

namespace gabra {
namespace {

using json::Value;

class TraceWriter {
 public:
  explicit TraceWriter(const ComparedStep& step) : step_(step), program_(step.program) {
    for (const Device& device : step.problem.cluster->description().devices) names_.push_back(device.name);
  }

  std::string write() {
    text_ = "{\"displayTimeUnit\":\"ms\",\"otherData\":" +
            dumped({{"schema", "gabra/trace/1"},
                    {"network", step_.problem.network->name()},
                    {"cluster", step_.problem.cluster->name()},
                    {"step_time_s", step_.measured.median_step().value()},
                    {"predicted_step_time_s", step_.predicted_report.step.value()}}) +
            ",\"traceEvents\":[";
    for (const bool is_measured : {false, true}) write_names(is_measured);
    for (std::size_t i = 0; i < program_.instructions.size(); ++i)
      for (const bool is_measured : {false, true}) write_span(i, is_measured);
    return std::move(text_) + "\n]}\n";
  }

 private:
  static std::string dumped(const Value& value) { return value.dump(-1, ' ', false, Value::error_handler_t::replace); }
  /// Two processes per device, the predicted one above.
  static int process(DeviceId device, bool is_measured) { return 2 * device.value() + (is_measured ? 2 : 1); }
  static double microseconds(Seconds time) { return static_cast<double>(std::llround(time.value() * 1e9)) / 1000.0; }

  void put(const Value& event) {
    text_ += is_first_ ? "\n" : ",\n";
    is_first_ = false;
    text_ += dumped(event);
  }

  void write_names(bool is_measured) {
    for (const DeviceId device : program_.devices) {
      const int pid = process(device, is_measured);
      const std::string name = names_[device.index()] + (is_measured ? " measured" : " predicted");
      put({{"ph", "M"}, {"name", "process_name"}, {"pid", pid}, {"args", {{"name", name}}}});
      put({{"ph", "M"}, {"name", "process_sort_index"}, {"pid", pid}, {"args", {{"sort_index", pid}}}});
    }
    for (std::size_t s = 0; s < program_.streams.size(); ++s) {
      const Stream& stream = program_.streams[s];
      put({{"ph", "M"},
           {"name", "thread_name"},
           {"pid", process(stream.device, is_measured)},
           {"tid", s + 1},
           {"args", {{"name", describe(stream, names_)}}}});
    }
  }

  void write_span(std::size_t i, bool is_measured) {
    const Instruction& one = program_.instructions[i];
    const Timeline::Span& predicted = step_.predicted.spans[i];
    const Timeline::Span& measured = step_.measured.timeline.spans[i];
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
          {{"instruction", i},
           {"predicted_ms", (predicted.end - predicted.begin).value() * 1e3},
           {"measured_ms", (measured.end - measured.begin).value() * 1e3},
           {"typical_ms", step_.measured.typical[i].value() * 1e3},
           {"begins_later_ms", (measured.begin - predicted.begin).value() * 1e3}}}});
  }

  const ComparedStep& step_;
  const Program& program_;
  std::vector<std::string> names_;
  std::string text_;
  bool is_first_ = true;
};

}  // namespace

std::string to_perfetto_comparison(const ComparedStep& step) { return TraceWriter(step).write(); }

}  // namespace gabra
