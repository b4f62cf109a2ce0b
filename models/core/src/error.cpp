// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"

#include "gabra/core/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace gabra {
namespace {

std::string all_lines(const std::vector<Fault>& faults) {
  std::string result;
  for (const Fault& fault : faults) {
    if (!result.empty()) result += '\n';
    result += to_text(fault);
  }
  return result;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string to_text(const Fault& fault) {
  std::string text = fault.where + ": saw " + fault.seen;
  if (!fault.allowed.empty()) text += "; allowed: " + fault.allowed;
  return text;
}

InputError::InputError(std::vector<Fault> faults) : Error(all_lines(faults)), faults_(std::move(faults)) {}

void FaultList::add(std::string where, std::string seen, std::string allowed) {
  if (faults_.size() < kMostFaults)
    faults_.push_back({std::move(where), std::move(seen), std::move(allowed)});
  else
    ++dropped_;
}

void FaultList::append(const FaultList& other) {
  for (const Fault& fault : other.faults_) add(fault.where, fault.seen, fault.allowed);
  dropped_ += other.dropped_;
}

void FaultList::throw_if_any() const {
  if (faults_.empty()) return;
  std::vector<Fault> all = faults_;
  if (dropped_ > 0) all.push_back({all.back().where, fmt::format("{} more faults", dropped_), "none"});
  throw InputError(std::move(all));
}

void throw_input_error(std::string where, std::string seen, std::string allowed) {
  throw InputError({{std::move(where), std::move(seen), std::move(allowed)}});
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string result = "\"";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte >= 0x7f)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  result += text.size() > kMost ? "...\"" : "\"";
  return result;
}

std::string did_you_mean(std::string_view seen, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  std::size_t best_distance = std::min<std::size_t>(3, seen.size());
  if (seen.size() > 64) return "";
  for (const std::string& name : known)
    if (const std::size_t distance = edit_distance(seen, name); distance < best_distance) {
      best = &name;
      best_distance = distance;
    }
  return best == nullptr ? "" : fmt::format(" (did you mean \"{}\"?)", *best);
}

namespace detail {
void check_failed(const char* file, int line, const char* condition, std::string_view message) {
  fmt::print(stderr, "{}:{}: internal error: {} does not hold: {}\n", file, line, condition, message);
  std::fflush(stderr);
  std::abort();
}
}  // namespace detail

}  // namespace gabra
