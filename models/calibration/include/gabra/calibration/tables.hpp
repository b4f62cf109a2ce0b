// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/fits.hpp"
#include "gabra/core/units.hpp"
#include "gabra/network/network.hpp"
#include "gabra/network/profile.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

// Figures that somebody else measured. All readers throw InputError with every fault and its line.

enum class TableKind : std::uint8_t { NcclTests, VtrainAllReduce, VtrainIterations, PipedreamProfile };

/// What kind of table a file is. Throws InputError for anything else.
[[nodiscard]] TableKind recognise_table(std::string_view text, const std::string& name);

/// Where a rank ran: machines, and the devices of each, are counted from 0.
struct RankPlace {
  int machine = 0;
  int device = 0;
  bool operator==(const RankPlace&) const = default;
};

/// All-reduces over all ranks; or messages, which every rank sends to the next one and the last to the first, all at
/// once.
enum class CommunicationTest : std::uint8_t { AllReduce, SendReceive };

/// What one run of a test measured.
struct CommunicationTable {
  std::string place;  ///< file and line of its header
  CommunicationTest test = CommunicationTest::AllReduce;
  int devices = 2;
  std::vector<RankPlace> ranks;      ///< in order; empty where the table does not list them
  std::vector<TransferSample> rows;  ///< bytes of a rank; out of place
};
struct CommunicationTables {
  std::vector<CommunicationTable> tables;
  std::vector<std::string> warnings;  ///< for people: what had to be supposed, what was left out
};

/// What all_reduce_perf and sendrecv_perf of NVIDIA's nccl-tests, or AMD's rccl-tests, print: any version, one run or
/// several after each other, with whatever else launchers and NCCL print between the lines.
///
/// Columns are found by the names in the header, the out-of-place ones by the line above it. In every row size / time
/// has to be the algorithm bandwidth that stands there, so that no column is taken for another. Ranks, their machines
/// and devices are what the lines "#  Rank N ..." say; without them the number of ranks is what bus over algorithm
/// bandwidth says, 2(n-1)/n. Which test it was is what "# Collective test starting: NAME" (since 2.17) or the command
/// line above says, else columns and bandwidths.
[[nodiscard]] CommunicationTables parse_nccl_tests(std::string_view text, const std::string& name);

/// vTrain's tables: a header "size(B),count,type,time(ns),busbw(GB/s),...", then such rows. The number of devices is
/// what bus bandwidth x time / size says: 2(n-1)/n.
[[nodiscard]] CommunicationTable parse_vtrain_all_reduce(std::string_view text, const std::string& name);

/// Layer times of a PipeDream graph (see parse_pipedream_profile()), and what work its layers are, as far as their
/// descriptions say: Conv2d, Linear, BatchNorm2d, ReLU, MaxPool2d. Forward and backward count as a layer each.
struct LayerTable {
  std::string name;  ///< of the network
  std::int64_t batch = 0;
  std::vector<LayerWork> work;
  struct Times {
    std::string layer, description;
    LayerSample sample;
  };
  std::vector<Times> times;
  /// Layers that are not in `work`, since no rule tells what work they are, by what their descriptions begin with.
  struct Unknown {
    std::size_t layers = 0;
    Seconds seconds;  ///< forward and backward
  };
  std::map<std::string, Unknown> unknown;
};
[[nodiscard]] LayerTable layers_of_pipedream(const Network& network);

}  // namespace gabra
