// SPDX-License-Identifier: MIT
#include "gabra/calibration/comparison.hpp"
#include "gabra/plan/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gabra {
namespace {

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Predicted and measured</title><style>
body{font:15px/1.45 system-ui,sans-serif;color:#1c2128;max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em;border-top:1px solid #d0d7de;padding-top:1em}h3{font-size:1.05em}
table{border-collapse:collapse;margin:.6em 0}td,th{padding:.2em .9em .2em 0;text-align:right;border-bottom:1px solid #e4e8ec}
td:first-child,th:first-child{text-align:left}.bad{color:#b42318;font-weight:600}.cause{background:#f4f6f8;padding:.6em .9em}
svg{max-width:100%;height:auto}figure{margin:1em 0}figcaption{color:#57606a}
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

std::string row(const ComparedFigure& figure, ValueUnit unit) {
  const bool is_bad = unit != ValueUnit::Share && std::abs(figure.error()) > 0.1;
  return fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td{}>{}</td></tr>\n", escaped(figure.name),
                     value_text(figure.predicted, unit), value_text(figure.measured, unit),
                     is_bad ? " class=\"bad\"" : "", error_text(figure, unit));
}

/// Points on both axes, from 0 to a little above the largest.
std::string scatter(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  constexpr double kSize = 420.0, kLeft = 70.0, kTop = 15.0;
  double largest = 0.0;
  for (const PlanComparison& one : comparisons) largest = std::max({largest, one.step.predicted, one.step.measured});
  largest *= 1.08;
  if (largest <= 0.0) return "";
  const auto x = [&](double seconds) { return kLeft + kSize * seconds / largest; };
  const auto y = [&](double seconds) { return kTop + kSize * (1.0 - seconds / largest); };
  std::string text = fmt::format(
      "<figure><svg viewBox=\"0 0 560 500\" width=\"560\" font-family=\"system-ui,sans-serif\" font-size=\"13\">\n"
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#8c959f\"/>\n"
      "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#8c959f\" stroke-dasharray=\"4 3\"/>\n",
      kLeft, kTop, kSize, kSize, x(0), y(0), x(largest), y(largest));
  for (int k = 0; k <= 4; ++k) {
    const double seconds = largest * k / 4.0;
    text += fmt::format(
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        x(seconds), kTop + kSize + 18, to_text(Seconds(seconds)), kLeft - 6, y(seconds) + 4, to_text(Seconds(seconds)));
  }
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const ComparedFigure& step = comparisons[i].step;
    text += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4.5\" fill=\"#0969da\" fill-opacity=\"0.7\"><title>{}: "
        "predicted {}, measured {}</title></circle>\n",
        x(step.measured), y(step.predicted), escaped(steps[i].name), to_text(Seconds(step.predicted)),
        to_text(Seconds(step.measured)));
  }
  return text + fmt::format(
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">measured step</text><text "
                    "transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">predicted step</text></svg>"
                    "</figure>\n",
                    kLeft + kSize / 2, kTop + kSize + 40, kTop + kSize / 2);
}

std::string set_section(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  const SetComparison set = compare_set(steps, comparisons);
  std::string text = fmt::format(
      "<p>{} plans: step time error {:.1f} % in the mean, {:.1f} % in the median, {:.1f} % at most; the machine's "
      "noise "
      "{:.1f} %. Kendall's tau {:.2f}; picking the predicted best costs {:.1f} %. Peak memory within {:.1f} %.</p>\n",
      steps.size(), 100.0 * set.mean_error, 100.0 * set.median_error, 100.0 * set.max_error, 100.0 * set.noise, set.tau,
      100.0 * set.regret, 100.0 * set.max_memory_error);
  text += scatter(steps, comparisons);
  text += "<table><tr><th>plan</th><th>predicted</th><th>measured</th><th>error</th></tr>\n";
  for (std::size_t i = 0; i < steps.size(); ++i) {
    ComparedFigure figure = comparisons[i].step;
    figure.name = steps[i].name;
    text += row(figure, ValueUnit::Seconds);
  }
  return text + "</table>\n";
}

std::string plan_section(const ComparedStep& step, const PlanComparison& comparison) {
  std::string text =
      fmt::format("<h2>{}</h2>\n<p class=\"cause\">{}.</p>\n", escaped(step.name), escaped(comparison.cause));
  text += fmt::format(
      "<p>{} on {}, {} steps measured, noise {:.1f} %.</p>\n", escaped(step.problem.network->name()),
      escaped(step.problem.cluster->name()),
      [&] {
        std::size_t count = 0;
        for (const auto& round : step.measured.rounds) count += round.size();
        return count;
      }(),
      100.0 * comparison.noise);
  text += "<table><tr><th></th><th>predicted</th><th>measured</th><th>error</th></tr>\n";
  text += row(comparison.step, ValueUnit::Seconds);
  for (const ComparedFigure& figure : comparison.stages) text += row(figure, ValueUnit::Seconds);
  for (const ComparedFigure& figure : comparison.links) text += row(figure, ValueUnit::Seconds);
  text += row(comparison.exposed_communication, ValueUnit::Seconds) + row(comparison.bubble, ValueUnit::Share);
  for (ComparedFigure figure : comparison.memory) {
    figure.name = "peak memory of " + figure.name;
    text += row(figure, ValueUnit::Bytes);
  }
  text +=
      "</table>\n<h3>Instructions with the largest share of the error</h3>\n"
      "<table><tr><th>instruction</th><th>predicted</th><th>measured</th><th>share</th></tr>\n";
  for (const InstructionError& error : comparison.instructions)
    text += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.1f} %</td></tr>\n",
                        escaped(describe(step.program.instructions[error.instruction.index()])),
                        to_text(error.predicted), to_text(error.measured), 100.0 * error.share);
  text += "</table>\n";
  text += "<figure>" + to_svg({step.problem, step.program, step.predicted}) +
          "<figcaption>predicted</figcaption></figure>\n";
  return text + "<figure>" + to_svg({step.problem, step.program, step.measured.timeline}) +
         "<figcaption>measured: the step nearest to the median</figcaption></figure>\n";
}

}  // namespace

std::string to_html(const std::vector<ComparedStep>& steps, const std::vector<PlanComparison>& comparisons) {
  std::string text = std::string(kHead) + "<h1>Predicted and measured</h1>\n";
  if (steps.size() > 1) text += set_section(steps, comparisons);
  for (std::size_t i = 0; i < steps.size(); ++i) text += plan_section(steps[i], comparisons[i]);
  return text + "</body></html>\n";
}

}  // namespace gabra
