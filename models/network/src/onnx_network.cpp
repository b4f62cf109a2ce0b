// SPDX-License-Identifier: MIT
#include "builder.hpp"
#include "onnx_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace gabra {
namespace {

using Extents = std::vector<std::int64_t>;

/// Maps the operators in their order, which ONNX guarantees to be topological.
class OnnxMapper {
 public:
  OnnxMapper(const OnnxGraph& graph, const std::string& name)
      : graph_(graph), name_(name), constants_(graph.constants) {}

  Network map() {
    add_inputs();
    for (index_ = 0; index_ < graph_.nodes.size(); ++index_) {
      node_ = &graph_.nodes[index_];
      map_node();
    }
    faults_.throw_if_any();
    Network network = Network::build(graph_.name.empty() ? name_ : graph_.name, std::move(layers_), name_);
    check_weights(network);
    return network;
  }

 private:
  void add_inputs() {
    std::set<std::string> read;
    for (const OnnxNode& node : graph_.nodes) read.insert(node.inputs.begin(), node.inputs.end());
    for (const OnnxInput& input : graph_.inputs) {
      if (!read.contains(input.name)) continue;
      const Shape shape(input.shape.begin() + (input.shape.empty() ? 0 : 1), input.shape.end());
      if (shape.empty() || *std::min_element(shape.begin(), shape.end()) < 1) {
        faults_.add(fmt::format("{}: input {}", name_, in_quotes(input.name)),
                    fmt::format("the shape {}", to_text(input.shape)),
                    "a batch dimension and known dimensions after it");
        broken_.insert(input.name);
        continue;
      }
      layers_.push_back({input.name, Input{shape}, {}});
      tensors_[input.name] = {input.name, shape.size()};
    }
  }

  void fault(std::string seen, std::string allowed) {
    const std::string output = node_->outputs.empty() ? "" : " " + in_quotes(node_->outputs[0]);
    faults_.add(fmt::format("{}: node {}{}", name_, index_, output), std::move(seen), std::move(allowed));
    is_broken_ = true;
  }

  void map_node() {
    is_broken_ = false;
    const bool is_skipped = std::any_of(node_->inputs.begin(), node_->inputs.end(),
                                        [&](const std::string& input) { return broken_.contains(input); });
    using Rule = void (OnnxMapper::*)();
    static const std::map<std::string, Rule, std::less<>> kRules{{"Add", &OnnxMapper::add},
                                                                 {"AveragePool", &OnnxMapper::pool},
                                                                 {"BatchNormalization", &OnnxMapper::batch_norm},
                                                                 {"Concat", &OnnxMapper::concat},
                                                                 {"ConstantOfShape", &OnnxMapper::constant_of_shape},
                                                                 {"Conv", &OnnxMapper::convolution},
                                                                 {"ConvTranspose", &OnnxMapper::transposed_convolution},
                                                                 {"Dropout", &OnnxMapper::dropout},
                                                                 {"Flatten", &OnnxMapper::flatten},
                                                                 {"Gelu", &OnnxMapper::gelu},
                                                                 {"Gemm", &OnnxMapper::gemm},
                                                                 {"GlobalAveragePool", &OnnxMapper::global_pool},
                                                                 {"Identity", &OnnxMapper::identity},
                                                                 {"LayerNormalization", &OnnxMapper::layer_norm},
                                                                 {"MatMul", &OnnxMapper::matrix_product},
                                                                 {"MaxPool", &OnnxMapper::pool},
                                                                 {"Relu", &OnnxMapper::relu},
                                                                 {"Reshape", &OnnxMapper::flatten},
                                                                 {"Resize", &OnnxMapper::enlarge},
                                                                 {"Softmax", &OnnxMapper::softmax},
                                                                 {"Sum", &OnnxMapper::add},
                                                                 {"Upsample", &OnnxMapper::enlarge}};
    const auto rule = kRules.find(node_->op);
    if (rule == kRules.end())
      fault("the operator " + in_quotes(node_->op), "an operator that docs/formats.md lists");
    else if (node_->outputs.empty() || node_->inputs.empty())
      fault(fmt::format("{} without inputs or outputs", node_->op), "at least one of each");
    else if (!is_skipped)
      (this->*rule->second)();
    if (is_broken_ || is_skipped) broken_.insert(node_->outputs.begin(), node_->outputs.end());
  }

  // Attributes and inputs of the node at hand.
  [[nodiscard]] std::int64_t integer(const char* key, std::int64_t fallback) const {
    const auto found = node_->integers.find(key);
    return found == node_->integers.end() ? fallback : found->second;
  }
  [[nodiscard]] double number(const char* key, double fallback) const {
    const auto found = node_->numbers.find(key);
    return found == node_->numbers.end() ? fallback : found->second;
  }
  [[nodiscard]] Extents list(const char* key) const {
    const auto found = node_->lists.find(key);
    return found == node_->lists.end() ? Extents{} : found->second;
  }
  [[nodiscard]] bool has_input(std::size_t index) const {
    return node_->inputs.size() > index && !node_->inputs[index].empty();
  }
  const OnnxConstant* constant(std::size_t index) {
    const auto found = has_input(index) ? constants_.find(node_->inputs[index]) : constants_.end();
    return found == constants_.end() ? nullptr : &found->second;
  }
  /// A weight of that many dimensions at least, or null after a fault.
  const OnnxConstant* weight(std::size_t index, std::size_t dimensions) {
    const OnnxConstant* found = constant(index);
    if (found != nullptr && found->shape.size() >= dimensions &&
        std::all_of(found->shape.begin(), found->shape.end(), [](std::int64_t extent) { return extent >= 1; }))
      return found;
    fault(fmt::format("input {} of {}", index, node_->op), "a constant weight");
    return nullptr;
  }
  void require(bool is_right, const char* seen, const char* allowed) {
    if (!is_right) fault(fmt::format("{} with {}", node_->op, seen), allowed);
  }
  /// Padding of each dimension; ONNX states all beginnings, then all ends.
  Extents padding(std::size_t dimensions) {
    const auto automatic = node_->texts.find("auto_pad");
    require(automatic == node_->texts.end() || automatic->second == "NOTSET" || automatic->second == "VALID",
            "automatic padding", "padding as numbers");
    Extents all = list("pads");
    if (all.empty()) return Extents(dimensions, 0);
    const auto half = static_cast<std::ptrdiff_t>(all.size() / 2);
    require(all.size() == 2 * dimensions && std::equal(all.begin(), all.begin() + half, all.begin() + half),
            "different padding on two sides", "the same on both");
    all.resize(all.size() / 2);
    return all;
  }

  void append(const LayerAttributes& attributes, std::size_t rank, std::size_t inputs = 1) {
    if (is_broken_) return;
    LayerSpec layer{node_->outputs[0], attributes, {}};
    for (std::size_t i = 0; i < inputs; ++i) {
      const auto found = tensors_.find(node_->inputs[i]);
      if (found == tensors_.end()) {
        fault("the unknown tensor " + in_quotes(node_->inputs[i]), "the output of an earlier operator");
        return;
      }
      layer.inputs.push_back(found->second.layer);
    }
    tensors_[node_->outputs[0]] = {layer.name, rank};
    layers_.push_back(std::move(layer));
  }
  /// Dimensions of one sample of the first input, 1 where it is unknown (append() reports that).
  [[nodiscard]] std::size_t rank() const {
    const auto found = tensors_.find(node_->inputs[0]);
    return found == tensors_.end() ? 1 : found->second.rank;
  }
  void expect_channels(std::int64_t channels, bool is_last) {
    expected_.push_back({node_->outputs[0], channels, is_last});
  }

  void convolution() {
    const OnnxConstant* found = weight(1, 3);
    if (found == nullptr) return;
    Convolution a;
    a.out_channels = found->shape[0];
    a.kernel.assign(found->shape.begin() + 2, found->shape.end());
    a.stride = list("strides");
    a.padding = padding(a.kernel.size());
    a.dilation = list("dilations");
    a.groups = integer("group", 1);
    a.bias = has_input(2);
    const double channels = static_cast<double>(found->shape[1]) * static_cast<double>(a.groups);
    require(channels >= 1 && channels < 1e12, "impossible groups", "groups that divide the channels");
    if (!is_broken_) expect_channels(static_cast<std::int64_t>(channels), false);
    append(a, rank());
  }
  void transposed_convolution() {
    const OnnxConstant* found = weight(1, 3);
    if (found == nullptr) return;
    TransposedConvolution a;
    a.out_channels = found->shape[1];
    a.kernel.assign(found->shape.begin() + 2, found->shape.end());
    a.stride = list("strides");
    a.padding = padding(a.kernel.size());
    a.bias = has_input(2);
    const auto is_one = [](std::int64_t extent) { return extent == 1; };
    const auto is_zero = [](std::int64_t extent) { return extent == 0; };
    const Extents dilation = list("dilations"), extra = list("output_padding");
    require(integer("group", 1) == 1, "groups", "one group");
    require(std::all_of(dilation.begin(), dilation.end(), is_one), "dilation", "none");
    require(std::all_of(extra.begin(), extra.end(), is_zero), "output_padding", "none");
    require(list("output_shape").empty(), "output_shape", "pads");
    expect_channels(found->shape[0], false);
    append(a, rank());
  }
  void batch_norm() { append(BatchNorm{number("epsilon", 1e-5), 1.0 - number("momentum", 0.9)}, rank()); }
  void layer_norm() {
    const std::int64_t axis = integer("axis", -1);
    require(axis == -1 || axis == static_cast<std::int64_t>(rank()), "another axis", "the last one");
    append(LayerNorm{number("epsilon", 1e-5)}, rank());
  }
  void relu() { append(Relu{}, rank()); }
  void gelu() { append(Gelu{}, rank()); }
  void softmax() { append(Softmax{}, rank()); }
  void pool() {
    const Extents kernel = list("kernel_shape"), dilation = list("dilations");
    Extents stride = list("strides");
    if (stride.empty()) stride.assign(kernel.size(), 1);  // ONNX's default, not the kernel
    const Extents pads = padding(kernel.size());
    require(integer("ceil_mode", 0) == 0, "ceil_mode", "none");
    require(std::all_of(dilation.begin(), dilation.end(), [](std::int64_t extent) { return extent == 1; }), "dilation",
            "none");
    if (node_->op == "MaxPool")
      append(MaxPool{kernel, stride, pads}, rank());
    else
      append(AveragePool{kernel, stride, pads}, rank());
  }
  void global_pool() { append(AdaptiveAveragePool{Extents(rank() - 1, 1)}, rank()); }
  void flatten() {
    if (node_->op == "Reshape") {
      const OnnxConstant* shape = constant(1);
      if (constant(0) != nullptr && shape != nullptr) return take_shape(*shape);  // of a weight
      require(shape != nullptr && shape->values.size() == 2, "a shape that is not [batch, features]", "that shape");
    } else {
      require(integer("axis", 1) == 1, "another axis", "axis 1");
    }
    append(Flatten{}, 1);
  }
  void gemm() {
    const OnnxConstant* found = weight(1, 2);
    if (found == nullptr) return;
    require(integer("transA", 0) == 0, "transA", "none");
    const bool is_transposed = integer("transB", 0) != 0;
    linear(found->shape[is_transposed ? 1 : 0], found->shape[is_transposed ? 0 : 1], has_input(2));
  }
  void matrix_product() {
    const OnnxConstant* found = weight(1, 2);
    if (found == nullptr) return;
    require(found->shape.size() == 2, "a weight of more dimensions", "two");
    linear(found->shape[0], found->shape[1], false);
  }
  void linear(std::int64_t in, std::int64_t out, bool has_bias) {
    expect_channels(in, true);
    append(Linear{out, has_bias}, rank());
  }
  void add() {
    const std::size_t count = node_->inputs.size();
    for (std::size_t i = 0; i < count && count == 2; ++i)
      if (constant(i) != nullptr && add_bias(node_->inputs[1 - i], *constant(i))) return;
    for (std::size_t i = 0; i < count; ++i) require(constant(i) == nullptr, "a constant", "outputs of operators");
    if (count == 1) return identity();
    append(Add{}, rank(), count);
  }
  /// MatMul and then Add of a vector is a linear layer with bias.
  bool add_bias(const std::string& tensor, const OnnxConstant& bias) {
    const auto found = tensors_.find(tensor);
    if (found == tensors_.end() || layers_.back().name != found->second.layer) return false;
    auto* product = std::get_if<Linear>(&layers_.back().attributes);
    if (product == nullptr || product->bias || bias.shape != Extents{product->out_features}) return false;
    product->bias = true;
    tensors_[node_->outputs[0]] = found->second;
    return true;
  }
  void concat() {
    require(integer("axis", 1) == 1, "another axis", "axis 1");
    if (node_->inputs.size() == 1) return identity();
    append(Concat{}, rank(), node_->inputs.size());
  }
  void dropout() {
    const OnnxConstant* ratio = constant(1);
    append(Dropout{ratio != nullptr && ratio->values.size() == 1 ? ratio->values[0] : number("ratio", 0.5)}, rank());
  }
  void identity() {
    const auto found = tensors_.find(node_->inputs[0]);
    if (found != tensors_.end())
      tensors_[node_->outputs[0]] = found->second;
    else if (const OnnxConstant* same = constant(0))
      constants_[node_->outputs[0]] = OnnxConstant(*same);
    else
      fault("the unknown tensor " + in_quotes(node_->inputs[0]), "the output of an earlier operator");
  }
  void constant_of_shape() {
    const OnnxConstant* shape = constant(0);
    require(shape != nullptr && !shape->values.empty(), "a computed shape", "a constant shape");
    if (!is_broken_) take_shape(*shape);
  }
  /// The output is a constant whose shape is the values of `shape`.
  void take_shape(const OnnxConstant& shape) {
    OnnxConstant shaped;
    for (const double extent : shape.values)
      shaped.shape.push_back(extent >= 1 && extent < 1e12 ? std::llround(extent) : 0);
    constants_[node_->outputs[0]] = std::move(shaped);
  }
  void enlarge() {
    const auto mode = node_->texts.find("mode");
    require(mode == node_->texts.end() || mode->second == "nearest", "another mode", "nearest");
    const OnnxConstant* scales = constant(node_->op == "Resize" ? 2 : 1);
    std::vector<double> factors = scales == nullptr ? std::vector<double>{} : scales->values;
    const bool is_right = factors.size() >= 3 && factors[0] == 1.0 && factors[1] == 1.0 && factors[2] >= 1.0 &&
                          factors[2] < 65536.0 && factors[2] == std::floor(factors[2]) &&
                          std::all_of(factors.begin() + 2, factors.end(), [&](double f) { return f == factors[2]; });
    require(is_right, "scales that are not one whole factor in space", "constant scales [1, 1, f, f]");
    if (is_right) append(Upsample{std::llround(factors[2])}, rank());
  }

  /// The weights in the model must be those that the shapes give.
  void check_weights(const Network& network) {
    std::map<std::string, const Layer*> layers;
    for (const Layer& layer : network.layers()) layers[layer.name] = &layer;
    for (const Expected& expected : expected_) {
      const Shape& input = network.layer(layers.at(expected.layer)->inputs[0]).output;
      const std::int64_t channels = expected.is_last ? input.back() : input.front();
      if (channels != expected.channels)
        faults_.add(fmt::format("{}: node {}", name_, in_quotes(expected.layer)),
                    fmt::format("a weight for {} channels", expected.channels), fmt::format("{} channels", channels));
    }
    faults_.throw_if_any();
  }

  struct Tensor {
    std::string layer;
    std::size_t rank = 1;  ///< without the batch
  };
  struct Expected {
    std::string layer;
    std::int64_t channels;
    bool is_last;
  };

  const OnnxGraph& graph_;
  const std::string& name_;
  std::map<std::string, OnnxConstant> constants_;
  FaultList faults_;
  std::vector<LayerSpec> layers_;
  std::map<std::string, Tensor> tensors_;
  std::set<std::string> broken_;
  std::vector<Expected> expected_;
  const OnnxNode* node_ = nullptr;
  std::size_t index_ = 0;
  bool is_broken_ = false;
};

}  // namespace

Network network_of_onnx(const OnnxGraph& graph, const std::string& name) { return OnnxMapper(graph, name).map(); }

}  // namespace gabra
