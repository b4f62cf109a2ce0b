// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/machine.hpp"
#include "gabra/calibration/tables.hpp"
#include "gabra/cluster/cluster.hpp"
#include "gabra/core/error.hpp"

#include <memory>
#include <string>

namespace gabra {

struct TableOptions {
  std::string sources;        ///< names of the tables, for the cluster's file
  std::string device_kind;    ///< the kind that layers were measured on; the first one where empty
  bool wants_profile = true;  ///< without, graphs of several networks may be added
};

/// Puts what tables say in the place of a cluster's figures.
///
/// Links are of three classes, NVLinks, others inside a machine, and those between machines; a table measures the class
/// that limits it, and all links of the class are scaled alike.
///  1. Messages: seconds = latency + bytes / bandwidth on the slowest of the ways that were used at once; what they
///     give are latency and bandwidth of the class's links.
///  2. All-reduces inside a machine give CollectiveParameters and, by a factor, the bandwidth of the class. Where
///     messages gave that already, the larger one counts: an all-reduce is not faster than its links.
///  3. All-reduces over machines, these parameters given: bandwidth and latency of the links between machines. Without
///     2., the parameters too.
///  4. Layers: their times, for the profile, and efficiencies by class of layer.
/// Errors are those of the finished cluster, as the simulator sees it.
///
/// Ranks stand where the table says (machine after machine, device by its number), else on the first devices. Sizes
/// that are not there leave figures as they are: no latency without messages up to 64 KiB, no bandwidth without 1 MiB,
/// no parameters without all-reduces of at least four sizes from 4 MiB down.
class TableFitter {
 public:
  /// The cluster must outlive it.
  TableFitter(const Cluster& base, TableOptions options);
  ~TableFitter();
  TableFitter(const TableFitter&) = delete;
  TableFitter& operator=(const TableFitter&) = delete;

  /// What does not fit the cluster, or tables added before, goes to `faults`.
  void add(const CommunicationTable& table, FaultList& faults);
  void add(const LayerTable& table, FaultList& faults);

  [[nodiscard]] MachineFit fit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gabra
