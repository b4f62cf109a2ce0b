// SPDX-License-Identifier: MIT
#include "gabra/pool/messages.hpp"

#include "line_scanner.hpp"
#include "rare_messages.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <array>
#include <iterator>
#include <utility>

namespace gabra::pool {
namespace {

constexpr std::array kSchedules{Schedule::Sequential, Schedule::GPipe, Schedule::OneForwardOneBackward};
constexpr std::array kRecomputes{Recompute::Never, Recompute::Always, Recompute::ExceptLast};

template <class T, std::size_t N>
T scan_choice(LineScanner& scanner, const std::array<T, N>& choices) {
  const std::string_view word = scanner.word();
  for (const T choice : choices)
    if (to_text(choice) == word) return choice;
  scanner.fail();
  return choices.front();
}

template <class Id>
Id scan_id(LineScanner& scanner) {
  const auto number = scanner.number<std::int32_t>();
  if (number < 0) scanner.fail();
  return Id(number);
}

Stage scan_stage(LineScanner& scanner) {
  Stage stage;
  scanner.expect("[");
  stage.first_unit = scanner.number<std::int32_t>();
  scanner.expect(",");
  stage.end_unit = scanner.number<std::int32_t>();
  scanner.expect(",");
  stage.recompute = scan_choice(scanner, kRecomputes);
  scanner.expect(",");
  scanner.list([&] { stage.devices.push_back(scan_id<DeviceId>(scanner)); });
  scanner.expect("]");
  return stage;
}

template <class Quantity>
Quantity scan_quantity(LineScanner& scanner) {
  return Quantity(scanner.number<typename Quantity::rep>());
}

DeviceReport scan_device(LineScanner& scanner) {
  DeviceReport device;
  scanner.expect("[");
  device.device = scan_id<DeviceId>(scanner);
  for (Seconds* time : {&device.compute, &device.exposed_communication, &device.bubble}) {
    scanner.expect(",");
    *time = scan_quantity<Seconds>(scanner);
  }
  scanner.expect(",");
  device.peak_memory = scan_quantity<Bytes>(scanner);
  scanner.expect(",");
  device.energy = scan_quantity<Joules>(scanner);
  scanner.expect("]");
  return device;
}

LinkReport scan_link(LineScanner& scanner) {
  LinkReport link;
  scanner.expect("[");
  link.link = scan_id<LinkId>(scanner);
  scanner.expect(",");
  link.bytes = scanner.number<double>();
  scanner.expect(",");
  link.busy = scan_quantity<Seconds>(scanner);
  scanner.expect("]");
  return link;
}

/// After "\"step_s\":".
StepReport scan_report(LineScanner& scanner) {
  StepReport report;
  report.step = scan_quantity<Seconds>(scanner);
  scanner.expect(",\"samples_per_s\":");
  report.samples_per_second = scanner.number<double>();
  scanner.expect(",\"bubble_fraction\":");
  report.bubble_fraction = scanner.number<double>();
  scanner.expect(",\"exposed_communication_s\":");
  report.exposed_communication = scan_quantity<Seconds>(scanner);
  scanner.expect(",\"peak_memory_bytes\":");
  report.peak_memory = scan_quantity<Bytes>(scanner);
  scanner.expect(",\"energy_j\":");
  report.energy = scan_quantity<Joules>(scanner);
  scanner.expect(",\"devices\":");
  scanner.list([&] { report.devices.push_back(scan_device(scanner)); });
  scanner.expect(",\"links\":");
  scanner.list([&] { report.links.push_back(scan_link(scanner)); });
  return report;
}

/// After "\"device\":": a lack of memory.
Infeasible scan_shortage(LineScanner& scanner) {
  Infeasible shortage{Infeasible::Reason::Memory, {}, scan_id<DeviceId>(scanner), {}, {}, {}};
  scanner.expect(",\"required_bytes\":");
  shortage.required = scan_quantity<Bytes>(scanner);
  scanner.expect(",\"available_bytes\":");
  shortage.available = scan_quantity<Bytes>(scanner);
  scanner.expect(",\"breakdown_bytes\":[");
  for (std::size_t i = 0; i < kMemoryCategoryCount; ++i) {
    if (i > 0) scanner.expect(",");
    shortage.breakdown[i] = scan_quantity<Bytes>(scanner);
  }
  scanner.expect("]");
  return shortage;
}

void append(fmt::memory_buffer& to, std::string_view text) { to.append(text.data(), text.data() + text.size()); }

void append(fmt::memory_buffer& to, const StepReport& report) {
  const auto end = std::back_inserter(to);
  fmt::format_to(end,
                 FMT_COMPILE(",\"step_s\":{},\"samples_per_s\":{},\"bubble_fraction\":{},\"exposed_communication_s\":{}"
                             ",\"peak_memory_bytes\":{},\"energy_j\":{},\"devices\":["),
                 report.step.value(), report.samples_per_second, report.bubble_fraction,
                 report.exposed_communication.value(), report.peak_memory.value(), report.energy.value());
  for (const DeviceReport& device : report.devices)
    fmt::format_to(end, FMT_COMPILE("{}[{},{},{},{},{},{}]"), &device == report.devices.data() ? "" : ",",
                   device.device.value(), device.compute.value(), device.exposed_communication.value(),
                   device.bubble.value(), device.peak_memory.value(), device.energy.value());
  append(to, "],\"links\":[");
  for (const LinkReport& link : report.links)
    fmt::format_to(end, FMT_COMPILE("{}[{},{},{}]"), &link == report.links.data() ? "" : ",", link.link.value(),
                   link.bytes, link.busy.value());
  append(to, "]}");
}

void append(fmt::memory_buffer& to, const Infeasible& reason) {
  const auto end = std::back_inserter(to);
  if (reason.reason != Infeasible::Reason::Memory) {
    append(to, reason.reason == Infeasible::Reason::Structure ? ",\"structure\":" : ",\"failed\":");
    append(to, json_text(reason.message));
    append(to, "}");
    return;
  }
  fmt::format_to(end, FMT_COMPILE(",\"device\":{},\"required_bytes\":{},\"available_bytes\":{},\"breakdown_bytes\":["),
                 reason.device.value(), reason.required.value(), reason.available.value());
  for (std::size_t i = 0; i < kMemoryCategoryCount; ++i)
    fmt::format_to(end, FMT_COMPILE("{}{}"), i == 0 ? "" : ",", reason.breakdown[i].value());
  append(to, "]}");
}

std::optional<Message> scan_answer(LineScanner scanner) {
  Answer answer;
  answer.id = scanner.number<std::int64_t>();
  if (scanner.accept(",\"step_s\":")) {
    answer.evaluation = scan_report(scanner);
  } else if (scanner.accept(",\"device\":")) {
    answer.evaluation = scan_shortage(scanner);
  } else {
    Infeasible infeasible;
    infeasible.reason = scanner.accept(",\"structure\":") ? Infeasible::Reason::Structure : Infeasible::Reason::Failed;
    if (infeasible.reason == Infeasible::Reason::Failed) scanner.expect(",\"failed\":");
    const std::string_view rest = scanner.rest();
    if (!scanner.is_good() || rest.size() < 3 || rest.back() != '}') return std::nullopt;
    auto message = from_json_text(rest.substr(0, rest.size() - 1));
    if (!message) return std::nullopt;
    infeasible.message = *std::move(message);
    answer.evaluation = std::move(infeasible);
    return answer;
  }
  scanner.expect("}");
  if (!scanner.is_at_end()) return std::nullopt;
  return answer;
}

}  // namespace

std::string to_line(std::int64_t id, const Plan& plan) {
  fmt::memory_buffer line;
  const auto end = std::back_inserter(line);
  fmt::format_to(end,
                 FMT_COMPILE("{{\"id\":{},\"micro_batches\":{},\"schedule\":\"{}\",\"bucket_bytes\":{},\"stages\":["),
                 id, plan.micro_batches, to_text(plan.schedule), plan.bucket.value());
  for (const Stage& stage : plan.stages) {
    fmt::format_to(end, FMT_COMPILE("{}[{},{},\"{}\",["), &stage == plan.stages.data() ? "" : ",", stage.first_unit,
                   stage.end_unit, to_text(stage.recompute));
    for (const DeviceId& device : stage.devices)
      fmt::format_to(end, FMT_COMPILE("{}{}"), &device == stage.devices.data() ? "" : ",", device.value());
    append(line, "]]");
  }
  append(line, "]}");
  return fmt::to_string(line);
}

std::optional<NumberedPlan> parse_plan_line(std::string_view line) {
  LineScanner scanner(line);
  NumberedPlan result;
  scanner.expect("{\"id\":");
  result.id = scanner.number<std::int64_t>();
  scanner.expect(",\"micro_batches\":");
  result.plan.micro_batches = scanner.number<std::int64_t>();
  scanner.expect(",\"schedule\":");
  result.plan.schedule = scan_choice(scanner, kSchedules);
  scanner.expect(",\"bucket_bytes\":");
  result.plan.bucket = scan_quantity<Bytes>(scanner);
  scanner.expect(",\"stages\":");
  scanner.list([&] { result.plan.stages.push_back(scan_stage(scanner)); });
  scanner.expect("}");
  if (!scanner.is_at_end()) return std::nullopt;
  return result;
}

std::string to_line(std::int64_t id, const Evaluation& evaluation) {
  fmt::memory_buffer line;
  fmt::format_to(std::back_inserter(line), FMT_COMPILE("{{\"id\":{}"), id);
  std::visit([&](const auto& result) { append(line, result); }, evaluation);
  return fmt::to_string(line);
}

std::optional<Message> parse_message(std::string_view line) {
  LineScanner scanner(line);
  if (scanner.accept("{\"id\":")) return scan_answer(scanner);
  return parse_rare_message(line);
}

}  // namespace gabra::pool
