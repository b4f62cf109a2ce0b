// SPDX-License-Identifier: MIT
#include "onnx_graph.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace gabra {
namespace {

constexpr std::int64_t kMostValues = 64;  // of a tensor whose values matter

/// Printable ASCII, so that names are good in messages and in JSON.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

template <class T>
void append_raw(const std::string& raw, std::vector<double>& values) {
  for (std::size_t at = 0; at + sizeof(T) <= raw.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, raw.data() + at, sizeof(T));
    values.push_back(static_cast<double>(value));
  }
}

OnnxConstant constant_of(const onnx::TensorProto& tensor) {
  OnnxConstant constant;
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.dims()) {
    constant.shape.push_back(extent);
    count = extent < 0 || extent > kMostValues ? kMostValues + 1 : std::min(count * extent, kMostValues + 1);
  }
  if (count > kMostValues) return constant;
  for (const float value : tensor.float_data()) constant.values.push_back(static_cast<double>(value));
  for (const std::int64_t value : tensor.int64_data()) constant.values.push_back(static_cast<double>(value));
  if (tensor.data_type() == onnx::TensorProto::FLOAT) append_raw<float>(tensor.raw_data(), constant.values);
  if (tensor.data_type() == onnx::TensorProto::INT64) append_raw<std::int64_t>(tensor.raw_data(), constant.values);
  return constant;
}

OnnxNode node_of(const onnx::NodeProto& proto) {
  OnnxNode node;
  node.op = printable(proto.op_type());
  for (const std::string& input : proto.input()) node.inputs.push_back(printable(input));
  for (const std::string& output : proto.output()) node.outputs.push_back(printable(output));
  for (const onnx::AttributeProto& attribute : proto.attribute()) {
    if (attribute.has_i()) node.integers[attribute.name()] = attribute.i();
    if (attribute.has_f()) node.numbers[attribute.name()] = static_cast<double>(attribute.f());
    if (attribute.has_s()) node.texts[attribute.name()] = printable(attribute.s());
    if (attribute.ints_size() > 0) node.lists[attribute.name()] = {attribute.ints().begin(), attribute.ints().end()};
  }
  return node;
}

OnnxInput input_of(const onnx::ValueInfoProto& proto) {
  OnnxInput input{printable(proto.name()), {}};
  for (const auto& dimension : proto.type().tensor_type().shape().dim())
    input.shape.push_back(dimension.has_dim_value() ? dimension.dim_value() : -1);
  return input;
}

}  // namespace

std::optional<OnnxGraph> decode_onnx(const std::string& contents) {
  onnx::ModelProto model;
  if (!model.ParseFromString(contents) || !model.has_graph()) return std::nullopt;
  OnnxGraph graph;
  graph.name = printable(model.graph().name());
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    graph.constants[printable(tensor.name())] = constant_of(tensor);
  for (const onnx::ValueInfoProto& input : model.graph().input())
    if (!graph.constants.contains(printable(input.name()))) graph.inputs.push_back(input_of(input));
  for (const onnx::NodeProto& node : model.graph().node()) {
    const bool is_constant = node.op_type() == "Constant" && node.output_size() == 1 && node.attribute_size() == 1 &&
                             node.attribute(0).has_t();
    if (is_constant)
      graph.constants[printable(node.output(0))] = constant_of(node.attribute(0).t());
    else
      graph.nodes.push_back(node_of(node));
  }
  return graph;
}

}  // namespace gabra
