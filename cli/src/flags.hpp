// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/core/units.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace gabra::cli {

/// The flags of one command as written on the command line. All are texts, given any number of times, so that every
/// bad one can be reported at once by FlagReader.
class FlagSet {
 public:
  explicit FlagSet(CLI::App& app) : app_(app) {}
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  /// "--seed" with one value; `value` names it in the help.
  void add(const std::string& name, const std::string& value, const std::string& meaning);
  /// A flag without a value.
  void add_switch(const std::string& name, const std::string& meaning);
  /// An argument without a flag; `name` in capitals.
  void add_positional(const std::string& name, const std::string& meaning);

  [[nodiscard]] const std::vector<std::string>& values(const std::string& name) const;
  [[nodiscard]] bool is_switched_on(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names() const;
  /// Of all flags and arguments, with what was given.
  [[nodiscard]] const std::map<std::string, std::vector<std::string>>& all_values() const { return values_; }
  [[nodiscard]] bool is_given(const std::string& name) const;

  /// What the command line had besides known flags; FlagReader reports it with everything else.
  void set_faults(std::vector<Fault> faults) { faults_ = std::move(faults); }
  [[nodiscard]] const std::vector<Fault>& faults() const { return faults_; }

 private:
  CLI::App& app_;
  std::vector<Fault> faults_;
  // Addresses are handed to CLI11, so they must not move.
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, bool> switches_;
};

/// Converts flags; what is wrong goes to the fault list with the flag's name as the place, and reads as not given.
class FlagReader {
 public:
  FlagReader(const FlagSet& flags, FaultList& faults);

  struct Integers {
    std::int64_t low = 1;
    std::int64_t high = std::numeric_limits<std::int64_t>::max();
  };

  [[nodiscard]] FaultList& faults() { return faults_; }
  [[nodiscard]] bool is_given(const std::string& name) const { return flags_.is_given(name); }
  [[nodiscard]] bool is_on(const std::string& name) const { return flags_.is_switched_on(name); }
  /// Given once and not empty.
  [[nodiscard]] std::optional<std::string> text(const std::string& name);
  /// The same, and a fault when it is not given.
  [[nodiscard]] std::optional<std::string> required(const std::string& name, const std::string& allowed);
  [[nodiscard]] std::optional<std::int64_t> integer(const std::string& name, Integers range);
  [[nodiscard]] std::optional<std::uint64_t> seed(const std::string& name);
  /// A finite number above 0.
  [[nodiscard]] std::optional<double> positive_number(const std::string& name);
  struct Numbers {
    double low, high;
  };
  /// A number of that range, both ends included.
  [[nodiscard]] std::optional<double> number(const std::string& name, Numbers range);
  [[nodiscard]] std::optional<Bytes> bytes(const std::string& name);
  /// Sizes separated by commas, each above 0.
  [[nodiscard]] std::vector<Bytes> sizes(const std::string& name);
  /// Above 0.
  [[nodiscard]] std::optional<Seconds> seconds(const std::string& name);
  /// Index into `names`.
  [[nodiscard]] std::optional<std::size_t> choice(const std::string& name, const std::vector<std::string>& names);
  /// A fault for every one of `names` that is given: they mean nothing `where`: "without --data", or "together with
  /// --plan".
  void refuse(const std::vector<std::string>& names, const std::string& where);
  /// A flag that names a file to write. A fault where the same file is read or written by another flag of the command.
  [[nodiscard]] bool claim_output(const std::string& name, const std::string& path);

 private:
  template <class T>
  std::optional<T> quantity(const std::string& name, Parsed<T> (*parse)(std::string_view), std::string_view allowed);
  std::optional<Bytes> size(const std::string& name, std::string_view text);

  const FlagSet& flags_;
  FaultList& faults_;
  std::map<std::string, std::string> outputs_;  // by flag
};

/// Runs `read`; faults of an InputError that it throws go to `faults`, so that reading goes on with the next input.
template <class Read>
void collect_faults(FaultList& faults, Read read) {
  try {
    read();
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) faults.add(fault.where, fault.seen, fault.allowed);
  }
}

}  // namespace gabra::cli
