// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// Root of everything gabra throws. Only main() catches it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One thing wrong with an input.
struct Fault {
  std::string where;    ///< "plan.json: $.stages[2].devices[0]" or "--cluster"
  std::string seen;     ///< what was found there: "the number -3", "no such field"
  std::string allowed;  ///< what would have been right: "a whole number from 1 to 1024"
};

/// "WHERE: saw SEEN; allowed: ALLOWED", one line.
[[nodiscard]] std::string to_text(const Fault& fault);

/// Bad input: a file, a flag, a plan, a cluster. Carries every fault found, each on a line of what(). Exit status 2.
class InputError : public Error {
 public:
  explicit InputError(std::vector<Fault> faults);
  [[nodiscard]] const std::vector<Fault>& faults() const { return faults_; }

 private:
  std::vector<Fault> faults_;
};

/// Collects faults while a parser goes on, so that all of them are reported at once. At most `kMostFaults` are kept;
/// the rest are counted.
class FaultList {
 public:
  static constexpr std::size_t kMostFaults = 100;

  void add(std::string where, std::string seen, std::string allowed);
  void append(const FaultList& other);
  [[nodiscard]] bool empty() const { return faults_.empty(); }
  [[nodiscard]] std::size_t size() const { return faults_.size() + dropped_; }
  [[nodiscard]] const std::vector<Fault>& faults() const { return faults_; }
  /// Throws InputError with all faults if there is any.
  void throw_if_any() const;

 private:
  std::vector<Fault> faults_;
  std::size_t dropped_ = 0;
};

/// Throws InputError with a single fault.
[[noreturn]] void throw_input_error(std::string where, std::string seen, std::string allowed);

/// `text` in quotes, control and non-ASCII bytes escaped, cut after 60 characters: safe to print in a message.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// " (did you mean "x"?)" where one of `known` is within two edits of `seen` (and not all of it edited), else "".
[[nodiscard]] std::string did_you_mean(std::string_view seen, const std::vector<std::string>& known);

}  // namespace gabra
