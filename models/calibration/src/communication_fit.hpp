// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/tables.hpp"
#include "gabra/cluster/cluster.hpp"
#include "gabra/core/error.hpp"

#include "fit_report.hpp"
#include "link_classes.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace gabra::detail {

/// Steps 1 to 3 of TableFitter.
class CommunicationFitter {
 public:
  explicit CommunicationFitter(const Cluster& base) : base_(base) {}

  void add(const CommunicationTable& table, FaultList& faults);
  [[nodiscard]] bool empty() const { return messages_.empty() && reductions_.empty(); }

  /// Changes links and collective of `description`, which is the base's.
  void fit(Cluster::Description& description, const std::string& source, FitReport& report);

 private:
  struct Messages {
    Flows flows;
    LinkClass link_class;
    std::vector<TransferSample> rows;
  };
  struct Reductions {
    std::vector<DeviceId> group;
    LinkClass link_class;
    std::vector<TransferSample> rows;
  };
  using Tables = std::vector<const Reductions*>;

  [[nodiscard]] std::optional<std::vector<DeviceId>> place_ranks(const CommunicationTable& table,
                                                                 FaultList& faults) const;
  void fit_messages(LinkClass link_class, Cluster::Description& description, FitReport& report);
  void check_messages(LinkClass link_class, const Cluster& fitted, FitReport& report) const;
  [[nodiscard]] Tables reductions_of(LinkClass link_class) const;
  [[nodiscard]] static std::vector<TransferSample> rows_of(const Tables& tables);
  /// Of a step of an all-reduce between machines, which all-reduces of one number of ranks do not tell from the launch:
  /// as the links say, or less (and then the links are changed). 0 inside a machine.
  [[nodiscard]] Seconds latency_of_steps(const Tables& tables, const Flows& flows,
                                         Cluster::Description& description) const;
  [[nodiscard]] bool fit_parameters(const Tables& tables, Cluster::Description& description, const std::string& source,
                                    FitReport& report) const;
  void fit_links(const Tables& tables, Cluster::Description& description, FitReport& report) const;
  void check_reductions(const Tables& tables, const Cluster& fitted, FitReport& report) const;

  const Cluster& base_;
  std::vector<Messages> messages_;
  std::vector<Reductions> reductions_;
  std::set<LinkClass> by_messages_;  // classes whose bandwidth messages gave
  std::set<LinkClass> latency_by_messages_;
};

}  // namespace gabra::detail
