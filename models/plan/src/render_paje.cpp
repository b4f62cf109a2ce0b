// SPDX-License-Identifier: MIT
#include "render_common.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gabra {
namespace {

// Event numbers of the header below.
constexpr std::string_view kHeader = R"(%EventDef PajeDefineContainerType 0
%       Alias string
%       Type string
%       Name string
%EndEventDef
%EventDef PajeDefineStateType 1
%       Alias string
%       Type string
%       Name string
%EndEventDef
%EventDef PajeDefineVariableType 2
%       Alias string
%       Type string
%       Name string
%       Color color
%EndEventDef
%EventDef PajeDefineLinkType 3
%       Alias string
%       Type string
%       StartContainerType string
%       EndContainerType string
%       Name string
%EndEventDef
%EventDef PajeDefineEntityValue 4
%       Alias string
%       Type string
%       Name string
%       Color color
%EndEventDef
%EventDef PajeCreateContainer 5
%       Time date
%       Alias string
%       Type string
%       Container string
%       Name string
%EndEventDef
%EventDef PajeDestroyContainer 6
%       Time date
%       Type string
%       Name string
%EndEventDef
%EventDef PajePushState 7
%       Time date
%       Type string
%       Container string
%       Value string
%       Stage int
%       MicroBatch int
%EndEventDef
%EventDef PajePopState 8
%       Time date
%       Type string
%       Container string
%EndEventDef
%EventDef PajeSetVariable 9
%       Time date
%       Type string
%       Container string
%       Value double
%EndEventDef
%EventDef PajeStartLink 10
%       Time date
%       Type string
%       Container string
%       StartContainer string
%       Value string
%       Key string
%EndEventDef
%EventDef PajeEndLink 11
%       Time date
%       Type string
%       Container string
%       EndContainer string
%       Value string
%       Key string
%EndEventDef
)";

constexpr std::array<std::string_view, detail::kSpanClassCount> kStateColors{
    "0.30 0.47 0.66", "0.96 0.52 0.09", "0.93 0.79 0.23", "0.33 0.64 0.29", "0.70 0.47 0.64",
    "0.73 0.69 0.67", "0.45 0.72 0.70", "0.62 0.85 0.82", "0.89 0.34 0.34"};

/// A Paje string: in quotes, without the characters that the format cannot hold.
std::string paje_text(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) result += c == '"' || c == '\n' || c == '\r' ? '_' : c;
  return result + "\"";
}

/// A line of the trace's body. Sorting is stable, so lines of one instant stay in the order in which they were made.
struct Line {
  Seconds time;
  std::string text;
};

class PajeWriter {
 public:
  explicit PajeWriter(const StepPicture& picture)
      : program_(picture.program), timeline_(picture.timeline), names_(detail::device_names(picture.problem)) {}

  std::string write() {
    text_ = kHeader;
    define_types();
    create_containers();
    for (const auto& instructions : detail::instructions_by_stream(program_))
      for (const InstructionId id : instructions) add_span(id);
    for (const MemorySample& sample : memory_samples(program_, timeline_))
      add(sample.time, "9 {} memory d{} {}", time_text(sample.time), sample.device.value(), sample.in_use.value());
    std::stable_sort(lines_.begin(), lines_.end(), [](const Line& a, const Line& b) { return a.time < b.time; });
    for (const Line& line : lines_) text_ += line.text + '\n';
    destroy_containers();
    return std::move(text_);
  }

 private:
  static std::string time_text(Seconds time) { return fmt::format("{:.12f}", time.value()); }

  template <class... Arguments>
  void add(Seconds time, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    lines_.push_back({time, fmt::format(format, std::forward<Arguments>(arguments)...)});
  }

  void define_types() {
    text_ += "0 step 0 \"step\"\n0 device step \"device\"\n0 stream device \"stream\"\n";
    text_ += "1 activity stream \"activity\"\n2 memory device \"memory in bytes\" \"0.5 0.5 0.5\"\n";
    text_ += "3 transfer step stream stream \"transfer\"\n";
    for (std::size_t i = 0; i < detail::kSpanClassCount; ++i)
      text_ += fmt::format("4 {0} activity \"{0}\" \"{1}\"\n", detail::name_of(static_cast<detail::SpanClass>(i)),
                           kStateColors[i]);
    text_ += "4 activation transfer \"activation\" \"0.45 0.72 0.70\"\n";
    text_ += "4 gradient transfer \"gradient\" \"0.89 0.34 0.34\"\n";
  }

  void create_containers() {
    const std::string zero = time_text(Seconds(0.0));
    text_ += fmt::format("5 {} root step 0 \"step\"\n", zero);
    for (const DeviceId device : program_.devices)
      text_ += fmt::format("5 {} d{} device root {}\n", zero, device.value(), paje_text(names_[device.index()]));
    for (std::size_t i = 0; i < program_.streams.size(); ++i)
      text_ += fmt::format("5 {} s{} stream d{} {}\n", zero, i, program_.streams[i].device.value(),
                           paje_text(describe(program_.streams[i], names_)));
  }

  void destroy_containers() {
    const std::string end = time_text(timeline_.end);
    for (std::size_t i = 0; i < program_.streams.size(); ++i) text_ += fmt::format("6 {} stream s{}\n", end, i);
    for (const DeviceId device : program_.devices) text_ += fmt::format("6 {} device d{}\n", end, device.value());
    text_ += fmt::format("6 {} step root\n", end);
  }

  void add_span(InstructionId id) {
    const Instruction& instruction = program_.instructions[id.index()];
    const Timeline::Span& span = timeline_.spans[id.index()];
    add(span.begin, "7 {} activity s{} {} {} {}", time_text(span.begin), instruction.stream.value(),
        detail::name_of(detail::class_of(instruction.opcode)), instruction.stage.value(), instruction.micro_batch);
    if (instruction.opcode == Opcode::Send)
      add(span.begin, "10 {} transfer root s{} {} {}", time_text(span.begin), instruction.stream.value(),
          instruction.is_gradient ? "gradient" : "activation", id.value());
    if (instruction.opcode == Opcode::Receive && instruction.partner.is_valid())
      add(span.end, "11 {} transfer root s{} {} {}", time_text(span.end), instruction.stream.value(),
          instruction.is_gradient ? "gradient" : "activation", instruction.partner.value());
    add(span.end, "8 {} activity s{}", time_text(span.end), instruction.stream.value());
  }

  const Program& program_;
  const Timeline& timeline_;
  std::vector<std::string> names_;
  std::string text_;
  std::vector<Line> lines_;
};

}  // namespace

std::string to_paje_trace(const StepPicture& picture) { return PajeWriter(picture).write(); }

}  // namespace gabra
