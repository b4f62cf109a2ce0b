// SPDX-License-Identifier: MIT
#include "gabra/pool/exec_job.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <thread>

namespace gabra::pool {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kLook{100};           // how often to ask whether to stop
constexpr milliseconds kTimeToEnd{5000};     // mpirun ends its ranks within 2 s
constexpr milliseconds kTimeToReport{3000};  // from the end of the input to the end of the process

Clock::time_point moment_after(Seconds time) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time.value()));
}

/// False: cancelled.
bool rest_for(Seconds time, const ExecJob::Cancelled& is_cancelled) {
  for (const auto end = moment_after(time); Clock::now() < end;) {
    if (is_cancelled && is_cancelled()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(kLook, end - Clock::now()));
  }
  return true;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// What mpirun says of a rank that a signal ended, in one sentence. (std::regex warns under sanitizers with GCC 12.)
std::optional<std::string> ended_by_signal(const std::string& error_text) {
  constexpr const char* kSentence = "rank %d with PID %*d on node %*s exited on signal %d (%63[^)])";
  for (std::size_t at = error_text.find("rank "); at != std::string::npos; at = error_text.find("rank ", at + 1)) {
    int rank = 0, signal = 0;
    std::array<char, 64> name{};
    if (std::sscanf(error_text.c_str() + at, kSentence, &rank, &signal, name.data()) == 3)
      return fmt::format("rank {} was ended by signal {} ({}){}", rank, signal, name.data(),
                         signal == SIGKILL ? ", as the system does when memory is short" : "");
  }
  return std::nullopt;
}

}  // namespace

std::string reason_of(const std::string& error_text) {
  const std::vector<std::string> lines = lines_of(error_text);
  static const std::string kOwn = "gabra-exec: ";
  // A rank that was stopped because another failed says so; the other's reason counts.
  for (const std::string& line : lines)
    if (line.starts_with(kOwn) && line.find(": stopped by ") == std::string::npos) return line.substr(kOwn.size());
  if (const auto ended = ended_by_signal(error_text)) return *ended;
  for (const std::string& line : lines)
    if (line.starts_with(kOwn)) return line.substr(kOwn.size());
  return lines.empty() ? "" : lines.back();
}

ExecJob::~ExecJob() {
  if (!process_ || process_->has_ended()) return;
  process_->close_input();
  if (!process_->wait_for_end(kTimeToReport)) end();
}

void ExecJob::end() {
  if (!process_) return;
  // mpirun's ranks lead process groups of their own: it has to end them.
  if (!process_->has_ended()) ::kill(process_->id(), SIGTERM);
  if (!process_->wait_for_end(kTimeToEnd)) process_->kill();
}

std::optional<std::string> ExecJob::wait_for_line(Seconds limit, const Cancelled& is_cancelled) {
  const auto end = moment_after(limit);
  while (true) {
    if (auto line = process_->read_line(kLook)) return line;
    if (process_->has_ended() || Clock::now() > end || (is_cancelled && is_cancelled())) return std::nullopt;
  }
}

const JobGreeting* ExecJob::start(const Cancelled& is_cancelled) {
  if (process_ && !process_->has_ended()) return &greeting_;
  const std::size_t more_tries = starts_ > 0 ? options_.restart_pauses.size() : 0;
  for (std::size_t failed = 0;; ++failed) {
    try {
      return start_once(is_cancelled) ? &greeting_ : nullptr;
    } catch (const Error&) {
      if (failed == more_tries) throw;
    }
    if (!rest_for(options_.restart_pauses[failed], is_cancelled)) return nullptr;
  }
}

bool ExecJob::start_once(const Cancelled& is_cancelled) {
  LineProcessOptions options;
  options.words = options_.words;
  options.environment = options_.environment;
  process_ = std::make_unique<LineProcess>(std::move(options));
  const auto line = wait_for_line(options_.start_limit, is_cancelled);
  if (!line && is_cancelled && is_cancelled()) {
    end();
    process_.reset();
    return false;
  }
  const auto fail = [this](const std::string& what) {
    end();
    const std::string reason = reason_of(process_->error_text());
    const std::string program = process_->program();
    process_.reset();
    throw Error(fmt::format("the job that measures could not be started ({}): {}{}{}", program, what,
                            reason.empty() ? "" : "; it said: ", reason));
  };
  if (!line && !process_->has_ended()) fail(fmt::format("it did not greet within {}", to_text(options_.start_limit)));
  if (!line) fail("it " + process_->end_reason());
  try {
    greeting_ = parse_job_greeting(*line, "greeting");
  } catch (const InputError& error) {
    fail(std::string("it does not greet as a job does: ") + error.what());
  }
  if (greeting_.ranks.size() != options_.ranks)
    fail(fmt::format("it has {} ranks, and {} were asked for", greeting_.ranks.size(), options_.ranks));
  ++starts_;
  return true;
}

MeasureReply ExecJob::failed(const MeasureRequest& request, const std::string& silence) {
  const bool was_silent = !process_->has_ended();
  end();
  const std::string reason = reason_of(process_->error_text());
  Infeasible infeasible;
  infeasible.reason = Infeasible::Reason::Failed;
  infeasible.message = was_silent ? silence : "the job " + process_->end_reason();
  if (!reason.empty()) infeasible.message = was_silent ? silence + "; " + reason : reason;
  process_.reset();
  return {.id = request.id, .result = std::move(infeasible)};
}

std::optional<MeasureReply> ExecJob::measure(const MeasureRequest& request, Seconds limit,
                                             const Cancelled& is_cancelled) {
  if (start(is_cancelled) == nullptr) return std::nullopt;
  process_->send(to_line(request));
  const auto line = wait_for_line(limit, is_cancelled);
  if (!line) {
    if (!process_->has_ended() && is_cancelled && is_cancelled()) {
      end();
      process_.reset();
      return std::nullopt;
    }
    return failed(request, fmt::format("no answer for {}: it hangs", to_text(limit)));
  }
  try {
    MeasureReply reply = parse_measure_reply(*line, "answer");
    if (reply.id == request.id) return reply;
    return failed(request, fmt::format("an answer to another plan, {}", reply.id));
  } catch (const InputError& error) {
    return failed(request, std::string("an answer that is none: ") + error.what());
  }
}

}  // namespace gabra::pool
