// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/plan/cost_model.hpp"
#include "gabra/plan/plan.hpp"

#include <cstdint>
#include <vector>

namespace gabra {

/// A tensor that a stage makes and another reads; one transfer per micro-batch where their devices differ.
struct Edge {
  std::int32_t tensor = 0;  ///< index into Network::unit_tensors()
  std::int32_t from = 0;    ///< stages
  std::int32_t to = 0;
  std::int32_t first_reader = 0;  ///< lowest unit of `to` that reads it: its backward completes the gradient
  std::int32_t output = 0;        ///< index into the producing stage's outputs
  Bytes bytes;                    ///< of one micro-batch
  bool needs_gradient = true;
  bool is_saved = false;  ///< the reader keeps it for its backward
};

/// A tensor that leaves a stage.
struct Output {
  bool is_saved = false;     ///< part of what the stage keeps for its backward
  Bytes bytes;               ///< of one micro-batch
  std::int32_t readers = 0;  ///< edges
};

/// Units [first, end) whose gradients are reduced together.
struct Bucket {
  std::int32_t first = 0;
  std::int32_t end = 0;
  Bytes bytes;
};

/// Times of one replica of a stage for one micro-batch.
struct ReplicaSeconds {
  double forward = 0.0;
  double backward = 0.0;
  std::vector<double> segments;  ///< of the backward, one per bucket, last units first; they add up to `backward`
};

struct StageLayout {
  std::vector<std::int32_t> incoming, outgoing;  ///< edges
  std::vector<Output> outputs;
  std::vector<Bucket> buckets;  ///< empty for one replica or no parameters
  std::vector<ReplicaSeconds> replicas;
  std::int64_t limit = 0;                                     ///< most micro-batches that a replica may hold
  Bytes saved, forward_workspace, backward_workspace, input;  ///< of one micro-batch
  bool is_input_saved = false;
};

/// What the scheduler needs to know of a plan's stages, all for one micro-batch.
struct PlanLayout {
  std::vector<Edge> edges;
  std::vector<StageLayout> stages;
};

/// Gradients of units [first, end) in buckets of at least `target` bytes, from the last unit to the first; empty
/// without parameters.
[[nodiscard]] std::vector<Bucket> make_buckets(const CostModel& costs, std::int32_t first, std::int32_t end,
                                               Bytes target);

/// The plan must have no faults.
[[nodiscard]] PlanLayout lay_out(CostModel& costs, const Plan& plan);

}  // namespace gabra
