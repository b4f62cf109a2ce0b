// SPDX-License-Identifier: MIT
#include "render_common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

using detail::class_of;
using detail::SpanClass;

constexpr char kIdle = '.';
constexpr char kCommunication = '~';
constexpr std::size_t kLeastCells = 10;
constexpr std::size_t kMostLabel = 24;

char fill_of(SpanClass span_class) {
  switch (span_class) {
    case SpanClass::Forward:
      return '>';
    case SpanClass::Backward:
      return '<';
    case SpanClass::Recompute:
      return '^';
    case SpanClass::Update:
      return '=';
    case SpanClass::Loss:
      return '*';
    default:
      return kCommunication;
  }
}

class GanttText {
 public:
  GanttText(const StepPicture& picture, int columns)
      : program_(picture.program), timeline_(picture.timeline), names_(detail::device_names(picture.problem)) {
    const auto width = static_cast<std::size_t>(std::clamp(columns, 1, 2000));
    std::size_t longest = 0;
    for (const DeviceId device : program_.devices)
      longest = std::max(longest, detail::display_width(names_[device.index()]));
    // "NAME |cells| 100%": the name gives way first, then the row grows beyond the terminal.
    const std::size_t frame = 8;
    label_ = std::min({longest, kMostLabel, width > frame + kLeastCells ? width - frame - kLeastCells : 1});
    cells_ = std::max(kLeastCells, width > frame + label_ ? width - frame - label_ : 0);
  }

  std::string draw() {
    std::vector<std::string> rows(names_.size(), std::string(cells_, kIdle));
    std::vector<Seconds> busy(names_.size());
    for (const bool computes : {false, true})
      for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
        const Instruction& instruction = program_.instructions[i];
        const SpanClass span_class = class_of(instruction.opcode);
        if (detail::is_compute(span_class) != computes || span_class == SpanClass::Load) continue;
        const Timeline::Span& span = timeline_.spans[i];
        if (computes) busy[instruction.device.index()] += span.end - span.begin;
        paint(rows[instruction.device.index()], span, fill_of(span_class),
              // Only the first segment of a backward has the number.
              computes && instruction.segment <= 0 ? instruction.micro_batch : -1);
      }
    std::string text;
    for (const DeviceId device : program_.devices) {
      const std::string name = detail::cut_to_width(names_[device.index()], label_);
      const double share = timeline_.end.value() > 0.0 ? busy[device.index()] / timeline_.end : 0.0;
      text += fmt::format("{}{} |{}| {:3.0f}%\n", name, std::string(label_ - detail::display_width(name), ' '),
                          rows[device.index()], 100.0 * share);
    }
    return text + axis() + legend();
  }

 private:
  [[nodiscard]] std::size_t column(Seconds time) const {
    if (!(timeline_.end.value() > 0.0)) return 0;
    const double place = std::round(time / timeline_.end * static_cast<double>(cells_));
    return std::min(cells_, static_cast<std::size_t>(std::max(0.0, place)));
  }

  void paint(std::string& row, const Timeline::Span& span, char fill, std::int32_t micro_batch) const {
    const std::size_t begin = column(span.begin);
    const std::size_t end = column(span.end);
    std::fill(row.begin() + static_cast<std::ptrdiff_t>(begin), row.begin() + static_cast<std::ptrdiff_t>(end), fill);
    if (micro_batch < 0) return;
    const std::string number = std::to_string(micro_batch);
    if (number.size() < end - begin) row.replace(begin + 1, number.size(), number);
  }

  [[nodiscard]] std::string axis() const {
    std::string marks(cells_ + 1, ' ');
    std::string labels(cells_ + 12, ' ');
    const auto ticks = detail::time_ticks(timeline_.end, static_cast<int>(std::max<std::size_t>(3, cells_ / 12)));
    std::size_t free_from = 0;
    for (const detail::TimeTick& tick : ticks) {
      const std::size_t at = column(tick.time);
      marks[at] = '|';
      if (at < free_from || at + tick.label.size() > labels.size()) continue;
      labels.replace(at, tick.label.size(), tick.label);
      free_from = at + tick.label.size() + 1;
    }
    labels.erase(labels.find_last_not_of(' ') + 1);
    marks.erase(marks.find_last_not_of(' ') + 1);
    const std::string indent(label_ + 2, ' ');
    return indent + marks + "\n" + indent + labels + "\n";
  }

  [[nodiscard]] static std::string legend() {
    return "> forward  < backward  ^ recompute  * loss  = update  ~ exposed communication  . idle\n"
           "The number is the micro-batch; at the right, the share of the step spent computing.\n";
  }

  const Program& program_;
  const Timeline& timeline_;
  std::vector<std::string> names_;
  std::size_t label_ = 0;
  std::size_t cells_ = 0;
};

}  // namespace

std::string to_gantt_text(const StepPicture& picture, int columns) { return GanttText(picture, columns).draw(); }

}  // namespace gabra
