// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/units.hpp"
#include "gabra/plan/infeasible.hpp"
#include "gabra/plan/plan_file.hpp"
#include "gabra/plan/report.hpp"
#include "gabra/plan/timeline.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gabra {

// The lines between a search and a running `gabra-exec measure` (schema gabra/job/1, docs/formats.md): the job greets,
// then every line in is a plan to measure and every line out what came of it.

inline constexpr std::string_view kJobSchema = "gabra/job/1";

/// One rank of a job.
struct JobRank {
  std::string host;
  std::string device;      ///< model: of the processor or the GPU
  std::int64_t cores = 0;  ///< of the host
  auto operator<=>(const JobRank&) const = default;
};

/// What a job says first.
struct JobGreeting {
  std::string version;          ///< of gabra
  std::string git;              ///< id of the commit it was built from, or ""
  std::string hardware{"cpu"};  ///< "cpu", "cuda"
  std::int64_t threads_per_rank = 1;
  std::vector<JobRank> ranks;
  bool operator==(const JobGreeting&) const = default;
};

struct MeasureRequest {
  std::int64_t id = 0;  ///< comes back in the reply
  std::int64_t warm_up = 2;
  std::int64_t steps = 5;
  /// Above `steps`: those beside which somebody else used the machine do not count, and others are taken in their
  /// place, so many in all at most.
  std::int64_t most_steps = 0;
  std::optional<Seconds> give_up_above{};  ///< clearly worse: leave out the rest once all steps so far took longer
  Seconds step_limit{60.0};
  std::uint64_t seed = 0;
  bool keeps_timelines = false;  ///< of every step that counts
  PlanFile plan;                 ///< with the profile, if there is one: it decides the order of instructions
};

/// A plan on real devices.
struct MeasuredSteps {
  enum class End : std::uint8_t { Complete, GaveUp, OverLimit };
  End end = End::Complete;
  std::vector<Seconds> steps;         ///< that counted, at least one
  std::int64_t disturbed = 0;         ///< that did not, with MeasureRequest::most_steps
  StepReport report;                  ///< its `step` is their median
  std::vector<Timeline> timelines{};  ///< of `steps`, in whole nanoseconds, where that was asked for; else none
};

/// Bad input: the request, or something the job cannot do. The job goes on.
struct Refused {
  std::vector<Fault> faults;
};

struct MeasureReply {
  std::int64_t id = 0;
  std::variant<MeasuredSteps, Infeasible, Refused> result;
};

// One line each, without a line break. Readers throw InputError with every fault; `name` says whose line it is.
[[nodiscard]] std::string to_line(const JobGreeting& greeting);
[[nodiscard]] JobGreeting parse_job_greeting(std::string_view line, const std::string& name);
[[nodiscard]] std::string to_line(const MeasureRequest& request);
[[nodiscard]] MeasureRequest parse_measure_request(std::string_view line, const std::string& name);
[[nodiscard]] std::string to_line(const MeasureReply& reply);
[[nodiscard]] MeasureReply parse_measure_reply(std::string_view line, const std::string& name);

/// The id of a request whose other fields may be anything; 0 where it has none.
[[nodiscard]] std::int64_t request_id(std::string_view line);

}  // namespace gabra
