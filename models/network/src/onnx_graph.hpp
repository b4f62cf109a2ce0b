// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/error.hpp"
#include "gabra/network/network.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gabra {

/// What an ONNX model says about its structure, free of protobuf's types.
struct OnnxNode {
  std::string op;
  std::vector<std::string> inputs, outputs;  ///< names of tensors; "" is an optional input left out
  std::map<std::string, std::int64_t> integers;
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<std::int64_t>> lists;
};

/// A constant: a weight, or a small tensor that an operator takes as an argument.
struct OnnxConstant {
  std::vector<std::int64_t> shape;
  std::vector<double> values;  ///< of small tensors only
};

struct OnnxInput {
  std::string name;
  std::vector<std::int64_t> shape;  ///< batch first; -1 where the model leaves it open
};

struct OnnxGraph {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::map<std::string, OnnxConstant> constants;
  std::vector<OnnxInput> inputs;
};

/// Reads the protobuf of a model. Empty where `contents` is none.
[[nodiscard]] std::optional<OnnxGraph> decode_onnx(const std::string& contents);

/// The network of a graph; its operators become layers named after their first outputs. Throws InputError naming every
/// operator or attribute that has no layer here.
[[nodiscard]] Network network_of_onnx(const OnnxGraph& graph, const std::string& name);

}  // namespace gabra
