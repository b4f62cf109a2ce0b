// SPDX-License-Identifier: MIT
#include "render_common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace gabra {
namespace {

using detail::class_of;
using detail::SpanClass;

// Sizes in pixels.
constexpr double kWidth = 1280.0;
constexpr double kLeft = 150.0;
constexpr double kRight = 30.0;
constexpr double kTop = 86.0;
constexpr double kComputeHeight = 24.0;
constexpr double kTransferHeight = 8.0;  ///< each of send, receive, all-reduce
constexpr double kRowHeight = kComputeHeight + 3.0 * kTransferHeight + 15.0;
constexpr double kBottom = 44.0;
constexpr double kLetterWidth = 7.0;

/// Told apart by people with any kind of colour vision (after Okabe and Ito), by SpanClass.
constexpr std::array<std::string_view, detail::kSpanClassCount> kColors{
    "#56b4e9", "#e69f00", "#f0e442", "#009e73", "#cc79a7", "#bbbbbb", "#0072b2", "#7fb8d9", "#d55e00"};

std::string_view color_of(SpanClass span_class) { return kColors[static_cast<std::size_t>(span_class)]; }

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else
      result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result;
}

class SvgWriter {
 public:
  explicit SvgWriter(const StepPicture& picture)
      : picture_(picture),
        program_(picture.program),
        timeline_(picture.timeline),
        axis_(std::max(picture.axis, picture.timeline.end)),
        names_(detail::device_names(picture.problem)),
        rows_(names_.size(), 0) {
    for (std::size_t i = 0; i < program_.devices.size(); ++i) rows_[program_.devices[i].index()] = i;
    bottom_ = kTop + kRowHeight * static_cast<double>(program_.devices.size());
  }

  std::string write() {
    text_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
        "{1:.0f}\" "
        "font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"12\">\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        kWidth, bottom_ + kBottom);
    write_title();
    write_legend();
    write_axis();
    for (const DeviceId device : program_.devices) write_row(device);
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) write_span(i);
    return std::move(text_) + "</svg>\n";
  }

 private:
  [[nodiscard]] double x_of(Seconds time) const {
    if (!(axis_.value() > 0.0)) return kLeft;
    return kLeft + (kWidth - kLeft - kRight) * (time / axis_);
  }
  [[nodiscard]] double top_of(DeviceId device) const {
    return kTop + kRowHeight * static_cast<double>(rows_[device.index()]);
  }

  template <class... Arguments>
  void put(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += fmt::format(format, std::forward<Arguments>(arguments)...);
    text_ += '\n';
  }

  void write_title() {
    put("<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"bold\">{} on {}</text>",
        escaped(picture_.problem.network->name()), escaped(picture_.problem.cluster->name()));
    put("<text x=\"{:.0f}\" y=\"26\" text-anchor=\"end\">one step of {} samples: {}</text>", kWidth - kRight,
        program_.samples, escaped(to_text(timeline_.end)));
  }

  /// Only what occurs.
  void write_legend() {
    std::array<bool, detail::kSpanClassCount> occurs{};
    for (const Instruction& instruction : program_.instructions)
      occurs[static_cast<std::size_t>(class_of(instruction.opcode))] = true;
    occurs[static_cast<std::size_t>(SpanClass::Load)] = false;
    double x = 16.0;
    for (std::size_t i = 0; i < occurs.size(); ++i) {
      if (!occurs[i]) continue;
      const std::string_view name = detail::name_of(static_cast<SpanClass>(i));
      put("<rect x=\"{:.0f}\" y=\"42\" width=\"14\" height=\"14\" fill=\"{}\" stroke=\"#444\" stroke-width=\"0.5\"/>",
          x, kColors[i]);
      put("<text x=\"{:.0f}\" y=\"54\">{}</text>", x + 20.0, name);
      x += 44.0 + kLetterWidth * static_cast<double>(name.size());
    }
    put("<text x=\"{:.0f}\" y=\"54\" text-anchor=\"end\" fill=\"#555\">numbers are micro-batches</text>",
        kWidth - kRight);
  }

  void write_axis() {
    for (const detail::TimeTick& tick : detail::time_ticks(axis_, 11)) {
      const double x = x_of(tick.time);
      put("<line x1=\"{0:.2f}\" y1=\"{1:.0f}\" x2=\"{0:.2f}\" y2=\"{2:.0f}\" stroke=\"#dddddd\"/>", x, kTop - 8.0,
          bottom_ + 4.0);
      put("<text x=\"{:.2f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>", x, bottom_ + 20.0, escaped(tick.label));
    }
    put("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\" fill=\"#555\">time since the step began</text>",
        (kLeft + kWidth - kRight) / 2.0, bottom_ + 37.0);
  }

  void write_row(DeviceId device) {
    const double top = top_of(device);
    const double width = kWidth - kLeft - kRight;
    put("<text x=\"16\" y=\"{:.1f}\" font-weight=\"bold\">{}</text>", top + 14.0,
        escaped(detail::cut_to_width(names_[device.index()], 17)));
    if (device.index() < program_.peak_memory.size())
      put("<text x=\"16\" y=\"{:.1f}\" font-size=\"10\" fill=\"#555\">peak {}</text>", top + 28.0,
          to_text(program_.peak_memory[device.index()]));
    put("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#f4f4f4\"/>", kLeft, top, width,
        kComputeHeight);
    put("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"#fafafa\"/>", kLeft,
        top + kComputeHeight + 2.0, width, 3.0 * kTransferHeight);
    constexpr std::array kLanes{SpanClass::Send, SpanClass::Receive, SpanClass::Collective};
    for (const SpanClass lane : kLanes)
      put("<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\" font-size=\"8\" fill=\"#777\">{}</text>", kLeft - 4.0,
          lane_top(device, lane) + kTransferHeight - 1.0, detail::name_of(lane));
  }

  [[nodiscard]] double lane_top(DeviceId device, SpanClass lane) const {
    const double first = top_of(device) + kComputeHeight + 2.0;
    if (lane == SpanClass::Send) return first;
    return first + (lane == SpanClass::Receive ? 1.0 : 2.0) * kTransferHeight;
  }

  void write_span(std::size_t index) {
    const Instruction& instruction = program_.instructions[index];
    const SpanClass span_class = class_of(instruction.opcode);
    if (span_class == SpanClass::Load) return;
    const Timeline::Span& span = timeline_.spans[index];
    const double x = x_of(span.begin);
    const double width = std::max(0.3, x_of(span.end) - x);
    const bool computes = detail::is_compute(span_class);
    const double y = computes ? top_of(instruction.device) : lane_top(instruction.device, span_class);
    std::string title = describe(instruction);
    if (instruction.bytes.value() > 0) title += fmt::format(", {}", to_text(instruction.bytes));
    put("<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" fill=\"{}\" fill-opacity=\"{}\" "
        "stroke=\"#333\" stroke-width=\"{}\"><title>{}: {} from {}</title></rect>",
        x, y, width, computes ? kComputeHeight : kTransferHeight - 1.0, color_of(span_class), computes ? "1" : "0.75",
        width > 3.0 ? "0.5" : "0", escaped(title), to_text(span.end - span.begin), to_text(span.begin));
    if (!computes || instruction.micro_batch < 0) return;
    const std::string number = std::to_string(instruction.micro_batch);
    if (width >= kLetterWidth * static_cast<double>(number.size()) + 2.0)
      put("<text x=\"{:.2f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"11\" pointer-events=\"none\">{}</text>",
          x + width / 2.0, y + kComputeHeight / 2.0 + 4.0, number);
  }

  const StepPicture& picture_;
  const Program& program_;
  const Timeline& timeline_;
  Seconds axis_;
  std::vector<std::string> names_;
  std::vector<std::size_t> rows_;  // by DeviceId
  double bottom_ = 0.0;
  std::string text_;
};

}  // namespace

std::string to_svg(const StepPicture& picture) { return SvgWriter(picture).write(); }

}  // namespace gabra
