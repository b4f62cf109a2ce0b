// SPDX-License-Identifier: MIT
#include "device_request.hpp"

#include <charconv>

namespace gabra::cli {

std::optional<DeviceRequest> read_devices(FlagReader& flags, const std::string& name) {
  constexpr std::int64_t kMostRanks = 1024;
  const auto text = flags.text(name);
  if (!text) return std::nullopt;
  DeviceRequest request;
  const std::size_t colon = text->find(':');
  const std::string kind = text->substr(0, colon);
  bool is_sound = (kind == "cpu" || kind == "cuda") && colon != std::string::npos;
  if (is_sound) {
    request.hardware = kind == "cpu" ? exec::Hardware::Cpu : exec::Hardware::Cuda;
    const char* end = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data() + colon + 1, end, request.count);
    is_sound = error == std::errc() && stop == end && request.count >= 1 && request.count <= kMostRanks;
  }
  if (is_sound) return request;
  flags.faults().add(name, in_quotes(*text), "cpu:NUMBER or cuda:NUMBER, with a number of ranks from 1 to 1024");
  return std::nullopt;
}

}  // namespace gabra::cli
