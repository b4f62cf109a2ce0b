// SPDX-License-Identifier: MIT
#include "gabra/pool/pool_evaluator.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/pool/messages.hpp"
#include "member.hpp"
#include "task_board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace gabra::pool {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostInFlight = 4;       // plans of a worker: one it works on, others in its pipe
constexpr std::size_t kInFlightOfSlot = 1024;  // of each of a bridge's, which makes chunks of them
constexpr std::chrono::milliseconds kTick{100};
// Time between two looks counts up to here: this process itself may have been stopped.
constexpr std::chrono::duration<double> kLongestTick{0.25};

}  // namespace

class PoolEvaluator::Implementation {
 public:
  Implementation(Problem problem, PoolOptions options)
      : problem_(std::move(problem)),
        options_(std::move(options)),
        header_line_(to_line(Header{.build = options_.build, .problem = problem_})) {
    GABRA_CHECK(options_.processes > 0, "a pool has a worker");
    for (std::int64_t i = 0; i < options_.processes; ++i) {
      const std::string name = options_.is_bridge ? options_.name : fmt::format("{} {}", options_.name, i);
      members_.push_back(std::make_unique<Member>(name, options_));
      (void)members_.back()->start(header_line_);
    }
  }

  std::vector<Evaluation> evaluate(std::span<const Plan> plans);

  [[nodiscard]] const Problem& problem() const { return problem_; }
  [[nodiscard]] const std::vector<SetAside>& set_aside() const { return set_aside_; }
  [[nodiscard]] std::int64_t replaced() const { return replaced_; }
  [[nodiscard]] std::vector<pid_t> process_ids() const {
    std::vector<pid_t> ids;
    for (const auto& member : members_)
      if (member->process() != nullptr) ids.push_back(member->process()->id());
    return ids;
  }

 private:
  void hand_out();
  [[nodiscard]] Member* find_taker();
  void listen(Member& member);
  void handle(Member& member, Message message);
  void handle_ready(Member& member, const Ready& ready);
  void handle_lost(Member& member, const Lost& lost);
  void handle_end(const Member& member, const MemberEnd& end);
  void blame(std::int64_t id, Blame kind, const std::string& reason);
  void wait();
  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  Problem problem_;
  PoolOptions options_;
  std::string header_line_;
  std::vector<std::unique_ptr<Member>> members_;
  TaskBoard board_;
  std::vector<SetAside> set_aside_;
  std::int64_t replaced_ = 0;
  Clock::time_point last_look_;
};

std::vector<Evaluation> PoolEvaluator::Implementation::evaluate(std::span<const Plan> plans) {
  board_.begin(plans);
  last_look_ = Clock::now();
  while (!board_.is_done()) {
    for (const auto& member : members_)
      if (const auto end = member->start(header_line_)) handle_end(*member, *end);
    hand_out();
    wait();
    for (const auto& member : members_) listen(*member);
  }
  return board_.finish();
}

/// The member that has the least to do and takes more. Towards the end of the plans each gets one at a time, so that
/// none waits behind another.
Member* PoolEvaluator::Implementation::find_taker() {
  const std::size_t share = board_.waiting() / (2 * members_.size());
  Member* best = nullptr;
  for (const auto& member : members_) {
    if (!member->is_ready()) continue;
    const std::size_t most = options_.is_bridge ? static_cast<std::size_t>(member->slots()) * kInFlightOfSlot
                                                : std::clamp<std::size_t>(share, 1, kMostInFlight);
    if (member->in_flight() >= most) continue;
    if (best == nullptr || member->in_flight() < best->in_flight()) best = member.get();
  }
  return best;
}

void PoolEvaluator::Implementation::hand_out() {
  while (board_.waiting() > 0) {
    Member* taker = find_taker();
    if (taker == nullptr) break;
    const std::int64_t id = board_.take();
    taker->give(id, board_.plan(id));
  }
  for (const auto& member : members_) member->flush();
}

void PoolEvaluator::Implementation::wait() {
  std::vector<LineProcess*> processes;
  for (const auto& member : members_)
    if (member->process() != nullptr) processes.push_back(member->process());
  wait_for_any(processes, kTick);
  const auto now = Clock::now();
  const auto passed = std::min<std::chrono::duration<double>>(now - last_look_, kLongestTick);
  last_look_ = now;
  for (const auto& member : members_)
    if (const auto end = member->wait(passed)) handle_end(*member, *end);
}

void PoolEvaluator::Implementation::listen(Member& member) {
  while (LineProcess* process = member.process()) {
    const auto line = process->take_read_line();
    if (!line) break;
    member.note_sign_of_life();
    std::optional<Message> message = parse_message(*line);
    if (!message) {
      handle_end(member, member.end("said what is no answer: " + in_quotes(*line), Blame::Crash));
      return;
    }
    handle(member, *std::move(message));
  }
  if (const auto end = member.find_end()) handle_end(member, *end);
}

void PoolEvaluator::Implementation::handle(Member& member, Message message) {
  if (auto* answer = std::get_if<Answer>(&message)) {
    member.forget(answer->id);
    board_.answer(answer->id, std::move(answer->evaluation));
  } else if (const auto* ready = std::get_if<Ready>(&message)) {
    handle_ready(member, *ready);
  } else if (const auto* slots = std::get_if<Slots>(&message)) {
    member.set_slots(slots->slots);
  } else if (const auto* lost = std::get_if<Lost>(&message)) {
    handle_lost(member, *lost);
  } else if (const auto* note = std::get_if<Note>(&message)) {
    log(note->text);
  } else if (const auto* failed = std::get_if<Failed>(&message)) {
    throw Error(options_.is_bridge ? failed->message : member.name() + ": " + failed->message);
  }
}

void PoolEvaluator::Implementation::handle_ready(Member& member, const Ready& ready) {
  if (ready.build != options_.build)
    throw Error(fmt::format("{} is gabra {}, this is gabra {}: all must be of one build", member.name(), ready.build,
                            options_.build));
  member.note_ready(ready.slots);
}

void PoolEvaluator::Implementation::handle_lost(Member& member, const Lost& lost) {
  ++replaced_;
  log(fmt::format("{}; {} plans go to others", lost.reason, lost.ids.size()));
  if (lost.culprit) blame(*lost.culprit, lost.from_outside ? Blame::Outside : Blame::Crash, lost.reason);
  for (const std::int64_t id : lost.ids) {
    member.forget(id);
    board_.put_back(id);
  }
}

void PoolEvaluator::Implementation::handle_end(const Member& member, const MemberEnd& end) {
  const std::string reason = end.reason + member.last_words();
  if (!end.was_ready && member.is_hopeless())
    throw Error(fmt::format("{} cannot be used, it {}", member.name(), reason));
  ++replaced_;
  log(fmt::format("{} {}; {} plans go to others", member.name(), reason, end.plans.size()));
  if (!end.plans.empty() && !options_.is_bridge) blame(end.plans.front(), end.blame, reason);
  for (const std::int64_t id : end.plans) board_.put_back(id);
}

void PoolEvaluator::Implementation::blame(std::int64_t id, Blame kind, const std::string& reason) {
  std::optional<SetAside> aside = board_.blame(id, kind, reason);
  if (!aside) return;
  const auto& say = options_.warn ? options_.warn : options_.log;
  if (say)
    say(fmt::format("set aside, {}: plan with stages \"{}\", {} micro-batches, {}, buckets of {}", aside->reason,
                    to_text(aside->plan.stages), aside->plan.micro_batches, to_text(aside->plan.schedule),
                    to_text(aside->plan.bucket)));
  set_aside_.push_back(*std::move(aside));
}

PoolEvaluator::PoolEvaluator(Problem problem, PoolOptions options)
    : implementation_(std::make_unique<Implementation>(std::move(problem), std::move(options))) {}

PoolEvaluator::~PoolEvaluator() = default;

const Problem& PoolEvaluator::problem() const { return implementation_->problem(); }
std::vector<Evaluation> PoolEvaluator::evaluate(std::span<const Plan> plans) {
  return implementation_->evaluate(plans);
}
const std::vector<SetAside>& PoolEvaluator::set_aside() const { return implementation_->set_aside(); }
std::int64_t PoolEvaluator::replaced() const { return implementation_->replaced(); }
std::vector<pid_t> PoolEvaluator::process_ids() const { return implementation_->process_ids(); }

}  // namespace gabra::pool
