// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/zoo.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

namespace gabra {

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
  if (first != std::string::npos && text[first] != '{')
    throw_input_error(name_or_file, "a file that starts with " + in_quotes(std::string_view(text).substr(first, 16)),
                      "a gabra/network/1 file (JSON) or a PipeDream profile graph");
  return parse_network(text, name_or_file);
}

}  // namespace gabra
