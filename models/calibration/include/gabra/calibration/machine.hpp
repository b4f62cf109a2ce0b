// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/calibration/fits.hpp"
#include "gabra/cluster/device_kind.hpp"
#include "gabra/network/network.hpp"
#include "gabra/network/profile.hpp"
#include "gabra/plan/problem.hpp"
#include "gabra/plan/program.hpp"
#include "gabra/plan/timeline.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gabra {

/// What a calibration plan is for. `Units` plans have a stage for every unit, so that each has spans of its own;
/// `Layers` a stage for every layer. `Together`: the same stages on all devices, which compute at once.
/// `OneBucket`: data parallel with all gradients in one all-reduce, which nothing hides. `Pipeline`: two stages on the
/// first two devices, for messages beside compute.
enum class CalibrationRole : std::uint8_t {
  UnitsTogether,
  UnitsAlone,
  WholeTogether,
  WholeAlone,
  OneBucket,
  Pipeline,
  LayersTogether,
  LayersAlone
};

/// Steps of one calibration plan, as they ran.
struct CalibrationRun {
  CalibrationRole role = CalibrationRole::UnitsTogether;
  std::int64_t micro_batch = 1;
  Program program;
  std::vector<Timeline> timelines;
  std::vector<Seconds> outside;  ///< of each step: its time less its timeline
  std::vector<double> slowness;  ///< of each step: of the machine beside it, 1 is undisturbed
};

/// What was measured on the ranks of a machine.
struct MachineSamples {
  std::string name;         ///< of the cluster
  std::string device_kind;  ///< name of the kind
  std::vector<std::string> devices;
  std::vector<int> nodes;  ///< by device
  std::optional<MeasuredOn> measured_on;
  Bytes memory, base_memory;
  TrainingSettings training;  ///< precision, optimizer and gradient sum
  std::shared_ptr<const Network> network;
  std::shared_ptr<const Network> by_layer;  ///< the same layers, each a unit
  std::vector<CalibrationRun> runs;
  /// By size of the micro-batch and layer of the network: what it keeps from forward to backward. Empty: not measured.
  std::map<std::int64_t, std::vector<Bytes>> kept;
  std::map<std::pair<int, int>, std::vector<TransferSample>> transfers;  ///< from, to
  /// `rings` and `channels` are filled in by fit_machine().
  std::vector<AllReduceSample> all_reduces;
  std::string source;  ///< where and when, for the cluster's file
};

/// One model of the fit and how good it is.
struct ModelQuality {
  std::string model;   ///< "all-reduce"
  std::string result;  ///< "launch 12 us, ..."
  FitQuality quality;
  double poor_above = 0.1;  ///< the limit of is_poor()
};

struct MachineFit {
  Cluster cluster;
  Profile profile;
  std::vector<ModelQuality> models;
  std::vector<std::string> notes;     ///< for people: what was found
  std::vector<std::string> warnings;  ///< fits that are poor, and figures that could not be found
  std::map<std::pair<int, int>, std::vector<TransferSample>> transfers{};  ///< as MachineSamples has them
  std::vector<AllReduceSample> all_reduces{};
};

/// Turns samples into a cluster and a profile.
///
/// Times of a unit are medians over devices, micro-batches and steps while all devices compute, and scaled so that a
/// whole pass takes what whole passes took in the median (interruptions hit a long span more surely than a short one).
/// Layers divide the time of their unit as the Layers runs of its size say, those together where there are any.
/// `neighbour_slowdown` is whole passes together over whole passes alone, and the profile's times are those together
/// divided by it. What layers keep is taken as measured, and set against the model of memory.
[[nodiscard]] MachineFit fit_machine(const MachineSamples& samples);

/// Text for people: models with their quality, notes, warnings.
[[nodiscard]] std::string to_text(const MachineFit& fit);

/// How the samples were taken, where they were taken on ranks.
struct CalibrationEffort {
  double elapsed_s = 0.0;
  std::int64_t steps = 0, rounds = 0;
  double uncertainty = 0.0;  ///< half the widest 95 % interval of a median step, relative
};
/// The gabra/calibration/1 document (docs/formats.md).
[[nodiscard]] std::string to_json_text(const MachineFit& fit, const std::optional<CalibrationEffort>& effort = {});

}  // namespace gabra
