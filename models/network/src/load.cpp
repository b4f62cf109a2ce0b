// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/zoo.hpp"
#include "onnx_graph.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace gabra {
namespace {

/// Files that are neither JSON nor a PipeDream profile graph.
Network parse_other(const std::string& contents, const std::string& name) {
#ifdef GABRA_WITH_ONNX
  constexpr bool kHasOnnx = true;
  // A model starts with its version, field 1 of the protobuf.
  if (const auto graph = contents.starts_with('\x08') ? decode_onnx(contents) : std::nullopt)
    return network_of_onnx(*graph, name);
#else
  constexpr bool kHasOnnx = false;
#endif
  throw_input_error(name, "a file that starts with " + in_quotes(std::string_view(contents).substr(0, 16)),
                    fmt::format("a gabra/network/1 file (JSON), a PipeDream profile graph{}",
                                kHasOnnx ? ", or an ONNX model" : "; this program was built without ONNX"));
}

}  // namespace

Network load_network(const std::string& name_or_file) {
  const std::string_view name = std::string_view(name_or_file).substr(0, name_or_file.find(':'));
  std::vector<std::string> known;
  for (const ZooEntry& entry : network_zoo()) known.push_back(entry.name);
  if (std::find(known.begin(), known.end(), name) != known.end()) return make_zoo_network(name_or_file);
  std::error_code error;
  if (!std::filesystem::exists(name_or_file, error))
    throw_input_error(in_quotes(name_or_file), "neither a built-in network nor a file" + did_you_mean(name, known),
                      fmt::format("a file, or one of {}", fmt::join(known, ", ")));
  const std::string text = read_file(name_or_file);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && std::string_view(text).substr(first).starts_with("node"))
    return parse_pipedream_profile(text, name_or_file);
  if (first != std::string::npos && text[first] != '{') return parse_other(text, name_or_file);
  return parse_network(text, name_or_file);
}

}  // namespace gabra
