// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/core/units.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gabra {

/// Measured times of one layer at one micro-batch size.
struct LayerSample {
  std::int64_t micro_batch = 0;
  Seconds forward;
  Seconds backward;
  Bytes bytes{
      0};  ///< that the layer keeps from forward to backward; 0: not measured. For people, times do not need it.
};

/// The name under which a Profile has the times of the loss, as a forward: no layer is called so.
inline constexpr std::string_view kLossInProfile = "(loss)";

/// What training settings times were measured with, as TrainingSettings names them: "float32", "plain".
struct MeasuredWith {
  std::string precision;
  std::string gradient_sum;

  bool operator==(const MeasuredWith&) const = default;
};

/// Measured forward and backward seconds per layer for each device kind at given micro-batch sizes; interpolated
/// linearly between them, extrapolated linearly beyond (ask is_extrapolated() to warn).
class Profile {
 public:
  /// Samples of one layer must be in ascending micro_batch order without repeats.
  void add(const std::string& device_kind, const std::string& layer, std::vector<LayerSample> samples);

  /// Empty where the profile has nothing for this layer on this kind of device.
  [[nodiscard]] std::optional<LayerSample> at(const std::string& device_kind, const std::string& layer,
                                              std::int64_t micro_batch) const;
  [[nodiscard]] bool is_extrapolated(std::int64_t micro_batch) const;
  [[nodiscard]] bool empty() const { return samples_.empty(); }
  void set_measured_with(MeasuredWith settings) { measured_with_ = std::move(settings); }
  /// None: nobody said.
  [[nodiscard]] const std::optional<MeasuredWith>& measured_with() const { return measured_with_; }
  [[nodiscard]] std::uint64_t fingerprint() const;
  [[nodiscard]] const std::map<std::string, std::map<std::string, std::vector<LayerSample>>>& samples() const {
    return samples_;
  }

 private:
  std::map<std::string, std::map<std::string, std::vector<LayerSample>>> samples_;  // kind -> layer -> samples
  std::optional<MeasuredWith> measured_with_;
};

/// The gabra/profile/1 format (docs/formats.md).
[[nodiscard]] Profile parse_profile(std::string_view json_text, const std::string& name);
[[nodiscard]] std::string to_json_text(const Profile& profile);

}  // namespace gabra
