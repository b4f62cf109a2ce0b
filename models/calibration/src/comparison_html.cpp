// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"
#include "gabra/plan/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Predicted and measured</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1c2128;max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em;border-top:1px solid #d0d7de;padding-top:1em}h3{font-size:1.05em}
table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}
td,th{padding:.2em 0 .2em 1.2em;text-align:right;border-bottom:1px solid #e4e8ec;font-weight:400;vertical-align:top}
th{color:#57606a}tr.rule td{border-top:2px solid #afb8c1}td:first-child,th:first-child,.text{text-align:left}
td:first-child,th:first-child{padding-left:0}.bad{color:#b42318;font-weight:600}
.cause{background:#f4f6f8;padding:.6em .9em}.note{color:#57606a;margin:.3em 0}a{color:#0969da;text-decoration:none}
svg{max-width:100%;height:auto}figure{margin:1em 0}figcaption{color:#57606a;margin-bottom:.3em}
</style></head><body>
)";

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  return result;
}

constexpr double kBadError = 0.1;     // from which on an error is shown as one
constexpr double kLightShare = 0.01;  // of the step

enum class ValueUnit { Seconds, Bytes, Share };

std::string value_text(double value, ValueUnit unit) {
  if (unit == ValueUnit::Seconds) return to_text(Seconds(value));
  if (unit == ValueUnit::Bytes) return to_text(Bytes(std::llround(value)));
  return fmt::format("{:.1f} %", 100.0 * value);
}

/// Shares differ by points, since one of 0 % has no relative error.
std::string error_text(const ComparedFigure& figure, ValueUnit unit) {
  if (unit == ValueUnit::Share) return fmt::format("{:+.1f} points", 100.0 * (figure.predicted - figure.measured));
  return figure.measured != 0.0 ? fmt::format("{:+.1f} %", 100.0 * figure.error()) : "";
}

std::string error_cell(const ComparedFigure& figure, ValueUnit unit, bool is_light = false) {
  const bool is_bad = unit != ValueUnit::Share && std::abs(figure.error()) > kBadError && !is_light;
  return fmt::format("<td{}>{}</td>", is_bad ? " class=\"bad\"" : "", error_text(figure, unit));
}

/// The rows of one plan, in groups with a line above each.
class FigureTable {
 public:
  explicit FigureTable(Seconds step) : step_(step) {}

  void add(const std::vector<ComparedFigure>& figures, ValueUnit unit) {
    for (std::size_t i = 0; i < figures.size(); ++i) {
      const ComparedFigure& one = figures[i];
      // The error of a part that hardly counts in the step is no news.
      const bool is_light = unit == ValueUnit::Seconds &&
                            std::abs(one.predicted - one.measured) * one.count < kLightShare * step_.value();
      text_ +=
          fmt::format("<tr{}><td>{}</td><td>{}</td><td>{}</td>{}</tr>\n",
                      i == 0 && !text_.empty() ? " class=\"rule\"" : "", escaped(one.name),
                      value_text(one.predicted, unit), value_text(one.measured, unit), error_cell(one, unit, is_light));
    }
  }

  [[nodiscard]] std::string text() const {
    return "<table><tr><th></th><th>predicted</th><th>measured</th><th>error</th></tr>\n" + text_ + "</table>\n";
  }

 private:
  Seconds step_;
  std::string text_;
};

/// 1, 2 or 5 times a power of ten, so that at most five steps reach `end`.
double nice_step(double end) {
  const double power = std::pow(10.0, std::floor(std::log10(end / 5.0)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power * 5.0 >= end) return factor * power;
  return 10.0 * power;
}

/// "40 ms": a few digits, for an axis.
std::string tick_text(double seconds, double end) {
  if (end >= 1.0) return fmt::format("{:g} s", seconds);
  return end >= 1e-3 ? fmt::format("{:g} ms", seconds * 1e3) : fmt::format("{:g} us", seconds * 1e6);
}

/// Points on both axes, from 0 to a little above the largest.
std::string scatter(const Validation& validation) {
  constexpr double kSize = 420.0, kLeft = 70.0, kTop = 15.0;
  double largest = 0.0;
  for (const PlanComparison& one : validation.comparisons)
    largest = std::max({largest, one.step.predicted, one.step.measured});
  largest *= 1.08;
  if (largest <= 0.0) return "";
  const auto x = [&](double seconds) { return kLeft + kSize * seconds / largest; };
  const auto y = [&](double seconds) { return kTop + kSize * (1.0 - seconds / largest); };
  std::string text = fmt::format(
      "<figure><figcaption>every plan a point; on the dashed line prediction and measurement agree</figcaption>\n"
      "<svg viewBox=\"0 0 560 480\" width=\"560\" font-family=\"system-ui,sans-serif\" font-size=\"13\">\n"
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#8c959f\"/>\n"
      "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#8c959f\" stroke-dasharray=\"4 3\"/>\n",
      kLeft, kTop, kSize, kSize, x(0), y(0), x(largest), y(largest));
  const double step = nice_step(largest);
  for (int k = 0; k * step <= largest; ++k)
    text += fmt::format(
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        x(k * step), kTop + kSize + 18, tick_text(k * step, largest), kLeft - 6, y(k * step) + 4,
        tick_text(k * step, largest));
  for (std::size_t i = 0; i < validation.steps.size(); ++i) {
    const ComparedFigure& figure = validation.comparisons[i].step;
    text += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"#0969da\" fill-opacity=\"0.7\"><title>{}: "
        "predicted {}, measured {}</title></circle>\n",
        x(figure.measured), y(figure.predicted), escaped(validation.steps[i].name), to_text(Seconds(figure.predicted)),
        to_text(Seconds(figure.measured)));
  }
  return text + fmt::format(
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">measured step</text><text "
                    "transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">predicted step</text></svg>"
                    "</figure>\n",
                    kLeft + kSize / 2, kTop + kSize + 40, kTop + kSize / 2);
}

std::string notes_section(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes) text += fmt::format("<p class=\"note\">Note: {}</p>\n", escaped(note));
  return text;
}

std::string left_out_section(const Validation& validation) {
  if (validation.left_out.empty()) return "";
  std::string text =
      "<h3>Not measured, or not in every round</h3>\n<table><tr><th>plan</th><th class=\"text\">why</th></tr>\n";
  for (const LeftOutPlan& plan : validation.left_out)
    text += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>\n", escaped(plan.name), escaped(plan.reason));
  return text + "</table>\n";
}

std::string lines_as_paragraphs(const std::string& lines) {
  std::string text;
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', begin), lines.size());
    text += fmt::format("<p>{}</p>\n", escaped(lines.substr(begin, end - begin)));
    begin = end + 1;
  }
  return text;
}

std::string set_section(const Validation& validation) {
  std::string text =
      lines_as_paragraphs(to_text(compare_set(validation.steps, validation.comparisons), validation.steps.size()));
  text += scatter(validation);
  text +=
      "<table><tr><th>plan</th><th>predicted</th><th>measured</th><th>error</th><th>noise</th>"
      "<th>memory</th></tr>\n";
  for (std::size_t i = 0; i < validation.steps.size(); ++i) {
    const PlanComparison& one = validation.comparisons[i];
    const ComparedFigure memory = one.worst_memory();
    text += fmt::format("<tr><td><a href=\"#plan{}\">{}</a></td><td>{}</td><td>{}</td>{}<td>{}</td>{}</tr>\n", i,
                        escaped(validation.steps[i].name), value_text(one.step.predicted, ValueUnit::Seconds),
                        value_text(one.step.measured, ValueUnit::Seconds), error_cell(one.step, ValueUnit::Seconds),
                        one.noise ? value_text(*one.noise, ValueUnit::Share) : "unknown",
                        error_cell(memory, ValueUnit::Bytes));
  }
  return text + "</table>\n";
}

std::string instruction_table(const ComparedStep& step, const PlanComparison& comparison) {
  std::string text =
      "<h3>Instructions with the largest share of the error</h3>\n<table><tr><th>instruction</th>"
      "<th class=\"text\">device</th><th>predicted</th><th>measured</th><th>of the error</th></tr>\n";
  for (const InstructionError& error : comparison.instructions) {
    const Instruction& one = step.program.instructions[error.instruction.index()];
    text += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{:.1f} %</td></tr>\n",
                        escaped(describe(one)), escaped(step.problem.cluster->device(one.device).name),
                        to_text(error.predicted), to_text(error.measured), 100.0 * error.share);
  }
  return text + "</table>\n";
}

std::string plan_section(const ComparedStep& step, const PlanComparison& comparison, std::size_t number) {
  std::string text = fmt::format("<h2 id=\"plan{}\">{}</h2>\n<p class=\"cause\">Cause: {}.</p>\n", number,
                                 escaped(step.name), escaped(comparison.cause));
  text += fmt::format("<p>{} on {}; {} micro-batch{} by {}, stages {}. {}; {}.</p>\n",
                      escaped(step.problem.network->name()), escaped(step.problem.cluster->name()),
                      step.plan.micro_batches, step.plan.micro_batches == 1 ? "" : "es", to_text(step.plan.schedule),
                      escaped(to_text(step.plan.stages)), step.measured.steps_text(), noise_text(comparison.noise));
  text += notes_section(step.notes);
  FigureTable table(step.measured.median_step());
  table.add({comparison.step}, ValueUnit::Seconds);
  table.add(comparison.stages, ValueUnit::Seconds);
  table.add(comparison.links, ValueUnit::Seconds);
  table.add({comparison.exposed_communication}, ValueUnit::Seconds);
  table.add({comparison.bubble}, ValueUnit::Share);
  std::vector<ComparedFigure> memory = comparison.memory;
  for (ComparedFigure& figure : memory) figure.name = "peak memory of " + figure.name;
  table.add(memory, ValueUnit::Bytes);
  text += table.text() + instruction_table(step, comparison);
  // Both on one axis.
  const Seconds axis = std::max(step.predicted.end, step.measured.timeline.end);
  text += "<figure><figcaption>predicted</figcaption>" + to_svg({step.problem, step.program, step.predicted, axis}) +
          "</figure>\n";
  return text + "<figure><figcaption>measured: the step nearest to the median</figcaption>" +
         to_svg({step.problem, step.program, step.measured.timeline, axis}) + "</figure>\n";
}

}  // namespace

std::string to_html(const Validation& validation) {
  std::string text = std::string(kHead) + "<h1>Predicted and measured</h1>\n";
  if (validation.is_interrupted) text += "<p class=\"bad\">Interrupted before everything was measured.</p>\n";
  if (validation.is_set && !validation.steps.empty()) text += set_section(validation);
  text += left_out_section(validation) + notes_section(validation.notes);
  for (std::size_t i = 0; i < validation.steps.size(); ++i)
    text += plan_section(validation.steps[i], validation.comparisons[i], i);
  return text + "</body></html>\n";
}

}  // namespace gabra
