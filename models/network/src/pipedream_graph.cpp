// SPDX-License-Identifier: MIT
#include "pipedream_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <utility>

namespace gabra {
namespace {

constexpr std::string_view kSpaces = " \t\r";
constexpr std::string_view kSeparator = " -- ";
constexpr double kMostValue = 1e14;  // milliseconds or bytes

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Edge {
  std::string from, to;
  std::size_t line;
};

class GraphReader {
 public:
  GraphReader(const std::string& name, FaultList& faults) : name_(name), faults_(faults) {}

  PipedreamGraph read(std::string_view text) {
    while (!text.empty()) {
      ++line_;
      const std::size_t newline = text.find('\n');
      read_line(trimmed(text.substr(0, newline)));
      text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    }
    std::sort(graph_.nodes.begin(), graph_.nodes.end(),
              [](const PipedreamNode& a, const PipedreamNode& b) { return a.number < b.number; });
    connect();
    return std::move(graph_);
  }

 private:
  void fault(std::string seen, std::string allowed) {
    faults_.add(fmt::format("{}: line {}", name_, line_), std::move(seen), std::move(allowed));
  }

  void read_line(std::string_view line) {
    if (line.empty()) return;
    const std::size_t first = line.find(kSeparator), last = line.rfind(kSeparator);
    const bool is_printable = std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (first == std::string_view::npos || !is_printable) {
      fault(in_quotes(line), "\"nodeN -- DESCRIPTION -- forward_compute_time=..., ...\" or \"nodeA -- nodeB\"");
    } else if (first == last) {
      edges_.push_back({std::string(trimmed(line.substr(0, first))),
                        std::string(trimmed(line.substr(first + kSeparator.size()))), line_});
    } else {
      const std::size_t begin = first + kSeparator.size();
      read_node(trimmed(line.substr(0, first)), trimmed(line.substr(begin, last - begin)),
                trimmed(line.substr(last + kSeparator.size())));
    }
  }

  void read_node(std::string_view id, std::string_view description, std::string_view fields) {
    PipedreamNode node;
    node.name = std::string(id);
    node.description = std::string(description);
    node.line = line_;
    const auto number = id.starts_with("node") ? number_in<std::int64_t>(id.substr(4)) : std::nullopt;
    if (!number || *number < 0) {
      fault(in_quotes(id), "\"node\" and a number");
      return;
    }
    node.number = *number;
    if (!names_.insert(node.name).second || !numbers_.insert(*number).second) {
      fault("the node " + in_quotes(id) + " again", "each node once");
      return;
    }
    read_fields(fields, node);
    graph_.nodes.push_back(std::move(node));
  }

  void read_fields(std::string_view fields, PipedreamNode& node) {
    std::vector<double> parts;
    std::map<std::string_view, double*> wanted{{"forward_compute_time", &node.forward_ms},
                                               {"backward_compute_time", &node.backward_ms},
                                               {"activation_size", &node.activation_bytes},
                                               {"parameter_size", &node.parameter_bytes}};
    while (!fields.empty()) {
      const std::size_t comma = fields.find(',');
      const std::string_view field = trimmed(fields.substr(0, comma));
      fields.remove_prefix(comma == std::string_view::npos ? fields.size() : comma + 1);
      const std::size_t equals = field.find('=');
      const auto found = wanted.find(field.substr(0, equals));
      if (equals == std::string_view::npos || found == wanted.end()) {
        fault(in_quotes(field),
              "forward_compute_time, backward_compute_time, activation_size, parameter_size, each once");
        continue;
      }
      const bool may_be_list = found->first == "activation_size";
      parts = read_values(field.substr(equals + 1), may_be_list);
      for (const double part : parts) *found->second += part;
      if (may_be_list) node.activation_parts = std::move(parts);
      wanted.erase(found);
    }
    for (const auto& [key, value] : wanted) fault(fmt::format("no {}", key), "this field is required");
  }

  std::vector<double> read_values(std::string_view text, bool may_be_list) {
    std::vector<double> values;
    std::string_view rest = text;
    const bool is_list = may_be_list && text.size() >= 2 && text.front() == '[' && text.back() == ']';
    if (is_list) rest = text.substr(1, text.size() - 2);
    while (true) {
      const std::size_t semicolon = rest.find(';');
      const auto value = number_in<double>(trimmed(rest.substr(0, semicolon)));
      if (!value || !std::isfinite(*value) || *value < 0 || *value > kMostValue ||
          (semicolon != std::string_view::npos && !is_list)) {
        fault(in_quotes(text),
              fmt::format("a number from 0 to {:g}{}", kMostValue, may_be_list ? ", or a list [a; b]" : ""));
        return {};
      }
      values.push_back(*value);
      if (semicolon == std::string_view::npos) return values;
      rest.remove_prefix(semicolon + 1);
    }
  }

  void connect() {
    std::map<std::string_view, std::size_t> positions;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) positions[graph_.nodes[i].name] = i;
    std::set<std::pair<std::size_t, std::size_t>> seen;
    for (const Edge& edge : edges_) {
      line_ = edge.line;
      const auto from = positions.find(edge.from), to = positions.find(edge.to);
      for (const auto& [found, end] : {std::pair{from, &edge.from}, std::pair{to, &edge.to}})
        if (found == positions.end()) fault("the unknown node " + in_quotes(*end), "a node of this file");
      if (from == positions.end() || to == positions.end()) continue;
      if (!seen.emplace(from->second, to->second).second) {
        fault(fmt::format("the edge from {} to {} again", edge.from, edge.to), "each edge once");
        continue;
      }
      graph_.nodes[to->second].inputs.push_back(from->second);
      graph_.nodes[from->second].readers.push_back(to->second);
    }
  }

  const std::string& name_;
  FaultList& faults_;
  std::size_t line_ = 0;
  PipedreamGraph graph_;
  std::set<std::string> names_;
  std::set<std::int64_t> numbers_;
  std::vector<Edge> edges_;
};

/// The number that follows `key` in a description such as "Linear(in_features=4096, out_features=1000, bias=True)".
std::optional<std::int64_t> number_after(std::string_view description, std::string_view key) {
  const std::size_t at = description.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = description.substr(at + key.size());
  return number_in<std::int64_t>(rest.substr(0, rest.find_first_not_of("0123456789")));
}

std::optional<std::int64_t> whole_ratio(double amount, double each) {
  const double ratio = amount / each;
  if (!(ratio >= 1.0) || ratio > 1e9 || ratio != std::floor(ratio)) return std::nullopt;
  return static_cast<std::int64_t>(ratio);
}

std::optional<std::int64_t> batch_of(const PipedreamNode& node, std::string_view kind, std::string_view key,
                                     std::size_t part) {
  if (!node.description.starts_with(kind) || node.activation_parts.size() <= part) return std::nullopt;
  const auto features = number_after(node.description, key);
  if (!features || *features < 1) return std::nullopt;
  return whole_ratio(node.activation_parts[part], 4.0 * static_cast<double>(*features));
}

}  // namespace

PipedreamGraph read_pipedream_graph(std::string_view text, const std::string& name, FaultList& faults) {
  return GraphReader(name, faults).read(text);
}

std::optional<std::int64_t> implied_batch(const PipedreamGraph& graph) {
  for (const PipedreamNode& node : graph.nodes)
    if (const auto batch = batch_of(node, "LSTM(", ", ", 1)) return batch;
  for (const PipedreamNode& node : graph.nodes)
    if (const auto batch = batch_of(node, "Linear(", "out_features=", 0)) return batch;
  for (const PipedreamNode& node : graph.nodes)
    for (const double side : {224.0, 299.0})
      if (node.description == "Input")
        if (const auto batch = whole_ratio(node.activation_bytes, 12.0 * side * side)) return batch;
  return std::nullopt;
}

}  // namespace gabra
