// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/plan.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/report.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gabra::pool {

// The lines of gabra/work/1 (docs/formats.md), one JSON object each, without their line breaks. Numbers round-trip
// exactly. Lines for plans and their answers have their fields in one order and no blanks, so that reading one costs
// microseconds.

// What a worker is told.

/// The first line: the problem, and which build of gabra speaks.
struct Header {
  std::string build;
  Problem problem;
};
[[nodiscard]] std::string to_line(const Header& header);
/// Throws InputError with every fault; the file is called "header".
[[nodiscard]] Header parse_header(std::string_view line);

struct NumberedPlan {
  std::int64_t id = 0;
  Plan plan;
};
[[nodiscard]] std::string to_line(std::int64_t id, const Plan& plan);
/// None: no such line. The plan may have structural faults.
[[nodiscard]] std::optional<NumberedPlan> parse_plan_line(std::string_view line);

// What it says.

/// It has read the header and takes plans; `slots` of them can be worked on at once.
struct Ready {
  std::string build;
  std::int64_t slots = 1;
};
/// Only a bridge: workers have come or gone.
struct Slots {
  std::int64_t slots = 1;
};
struct Answer {
  std::int64_t id = 0;
  Evaluation evaluation;
};
/// Only a bridge: these plans will not be answered, give them out again. `culprit` was being worked on when its worker
/// ended; none: nobody's fault (a machine is gone). `from_outside`: it was killed, it did not crash.
struct Lost {
  std::vector<std::int64_t> ids;
  std::optional<std::int64_t> culprit;
  bool from_outside = false;
  std::string reason;
};
/// For people.
struct Note {
  std::string text;
};
/// It cannot go on: one sentence for people.
struct Failed {
  std::string message;
};
using Message = std::variant<Ready, Slots, Answer, Lost, Note, Failed>;

[[nodiscard]] std::string to_line(const Ready& ready);
[[nodiscard]] std::string to_line(std::int64_t id, const Evaluation& evaluation);
[[nodiscard]] std::string to_line(const Failed& failed);
/// None: no such line.
[[nodiscard]] std::optional<Message> parse_message(std::string_view line);

/// "0.1.0 5d8c0a...": the version and what identifies this very program, by the linker's note in it. Two programs of
/// one build answer alike.
[[nodiscard]] std::string build_of_this_program(std::string_view version);

}  // namespace gabra::pool
