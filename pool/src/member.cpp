// SPDX-License-Identifier: MIT
#include "member.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <utility>

namespace gabra::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kStoppedAfter = 2.0;    // seconds; a stopped process is looked for only after so much silence
constexpr double kSlowestFactor = 20.0;  // of the longest wait so far
constexpr int kMostDoublings = 6;
constexpr int kMostDoublingsOfKilled = 4;
constexpr int kMostCrashedStarts = 3;
constexpr int kMostCrashedRestarts = 8;  // what was there when the search began may come back: 13 s in all
constexpr int kMostKilledStarts = 100;

/// Whether somebody has stopped the process (SIGSTOP).
bool is_stopped(pid_t process) {
  std::ifstream stream("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(stream, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < text.size() &&
         (text[name_end + 2] == 'T' || text[name_end + 2] == 't');
}

/// A program does not do this to itself.
bool is_from_outside(int status) {
  constexpr std::array kSignals{SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
  return std::find(kSignals.begin(), kSignals.end(), status - 128) != kSignals.end();
}

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  text.remove_prefix(text.rfind('\n') + 1);  // npos + 1 is 0
  return text.empty() ? "" : ": " + std::string(text);
}

}  // namespace

std::optional<MemberEnd> Member::start(const std::string& header_line) {
  if (process_ != nullptr || Clock::now() < next_start_) return std::nullopt;
  try {
    process_ = std::make_unique<LineProcess>(options_.command);
  } catch (const Error& error) {
    if (!was_ready_) throw;
    note_failed_start(Blame::Crash);
    last_words_.clear();
    return MemberEnd{.reason = std::string("did not start again: ") + error.what(), .plans = {}};
  }
  is_ready_ = false;
  silent_s_ = 0.0;
  process_->send(header_line);
  return std::nullopt;
}

void Member::note_failed_start(Blame blame) {
  ++(blame == Blame::Crash ? crashed_starts_ : killed_starts_);
  const int doublings =
      std::max(std::min(crashed_starts_ - 1, kMostDoublings), std::min(killed_starts_ - 1, kMostDoublingsOfKilled));
  const std::chrono::duration<double> pause(options_.first_pause.value() * (1 << doublings));
  next_start_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(pause);
}

bool Member::is_hopeless() const {
  return crashed_starts_ >= (was_ready_ ? kMostCrashedRestarts : kMostCrashedStarts) ||
         killed_starts_ >= kMostKilledStarts;
}

void Member::note_ready(std::int64_t slots) {
  is_ready_ = was_ready_ = true;
  slots_ = slots;
  crashed_starts_ = killed_starts_ = 0;
}

void Member::give(std::int64_t id, const Plan& plan) {
  if (plans_.empty()) silent_s_ = 0.0;
  plans_.push_back(id);
  process_->send_later(to_line(id, plan));
}

void Member::flush() {
  if (process_ != nullptr) process_->flush();
}

void Member::forget(std::int64_t id) {
  const auto found = std::find(plans_.begin(), plans_.end(), id);
  if (found != plans_.end()) plans_.erase(found);
}

void Member::note_sign_of_life() {
  if (is_ready_) longest_silence_s_ = std::max(longest_silence_s_, silent_s_);
  silent_s_ = 0.0;
}

std::optional<MemberEnd> Member::wait(std::chrono::duration<double> time) {
  if (process_ == nullptr || (is_ready_ && plans_.empty())) return std::nullopt;
  silent_s_ += time.count();
  if (silent_s_ > kStoppedAfter && is_stopped(process_->id())) return end("was stopped", Blame::Outside);
  const double own_limit = options_.is_bridge
                               ? options_.bridge_limit.value()
                               : std::max(options_.plan_limit.value(), kSlowestFactor * longest_silence_s_);
  const double limit = is_ready_ ? own_limit : options_.start_limit.value();
  if (silent_s_ <= limit) return std::nullopt;
  return end(fmt::format("{} within {}", is_ready_ ? "gave no answer" : "did not start", to_text(Seconds(limit))),
             Blame::Crash);
}

std::optional<MemberEnd> Member::find_end() {
  if (process_ == nullptr || !process_->has_ended()) return std::nullopt;
  const bool is_outside = process_->end_status() && is_from_outside(*process_->end_status());
  return end(process_->end_reason(), is_outside ? Blame::Outside : Blame::Crash);
}

MemberEnd Member::end(std::string reason, Blame blame) {
  process_->kill();
  last_words_ = last_line(process_->error_text());
  MemberEnd result{
      .reason = std::move(reason), .blame = blame, .was_ready = is_ready_, .plans = {plans_.begin(), plans_.end()}};
  plans_.clear();
  process_.reset();
  if (!is_ready_) note_failed_start(blame);
  is_ready_ = false;
  return result;
}

}  // namespace gabra::pool
