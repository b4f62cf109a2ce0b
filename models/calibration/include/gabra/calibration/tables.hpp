// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/fits.hpp"
#include "gabra/core/units.hpp"
#include "gabra/network/network.hpp"
#include "gabra/network/profile.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gabra {

// Figures that somebody else measured. All readers throw InputError with every fault and its line.

/// A row of a table of all-reduces.
struct AllReduceRow {
  int devices = 2;
  Bytes bytes;
  Seconds seconds;  ///< out of place
};

enum class TableKind { NcclTests, VtrainAllReduce, PipedreamProfile };

/// What kind of table a file is, by its first lines. Throws InputError for anything else.
[[nodiscard]] TableKind recognise_table(std::string_view text, const std::string& name);

/// What all_reduce_perf of NVIDIA's nccl-tests prints: comment lines with "#", among them one "#  Rank N ..." for each
/// device; rows "size count type redop root time algbw busbw #wrong ..." with times in us. Where no ranks are listed,
/// their number is what bus over algorithm bandwidth says: 2(n-1)/n.
[[nodiscard]] std::vector<AllReduceRow> parse_nccl_tests(std::string_view text, const std::string& name);

/// vTrain's tables: a header "size(B),count,type,time(ns),busbw(GB/s),...", then such rows. The number of devices is
/// what bus bandwidth x time / size says: 2(n-1)/n.
[[nodiscard]] std::vector<AllReduceRow> parse_vtrain_all_reduce(std::string_view text, const std::string& name);

/// Layer times of a PipeDream graph (see parse_pipedream_profile()), and what work its layers are, as far as their
/// descriptions say: Conv2d, Linear, BatchNorm2d, ReLU, MaxPool2d. Forward and backward count as a layer each.
struct LayerTable {
  std::int64_t batch = 0;
  std::vector<LayerWork> work;
  struct Times {
    std::string layer;
    LayerSample sample;
  };
  std::vector<Times> times;
};
[[nodiscard]] LayerTable layers_of_pipedream(const Network& network);

}  // namespace gabra
