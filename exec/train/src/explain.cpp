// SPDX-License-Identifier: MIT
#include "data_set.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/data/preprocess.hpp"
#include "gabra/exec/checkpoint.hpp"
#include "gabra/exec/predict.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/tensor_memory.hpp"
#include "heat_map.hpp"
#include "picture.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace gabra::exec {
namespace {

/// --class: a name in any case, or a number.
std::optional<std::int64_t> class_index(const ExplainJob& job, const std::vector<std::string>& classes) {
  if (!job.class_name) return std::nullopt;
  const auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  };
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (lower(classes[i]) == lower(*job.class_name)) return static_cast<std::int64_t>(i);
  std::int64_t number = -1;
  const char* end = job.class_name->data() + job.class_name->size();
  if (std::from_chars(job.class_name->data(), end, number).ptr == end && number >= 0 &&
      number < static_cast<std::int64_t>(classes.size()))
    return number;
  throw_input_error("--class", in_quotes(*job.class_name),
                    fmt::format("one of {}, or a number from 0 to {}", fmt::join(classes, ", "), classes.size() - 1));
}

/// Feature map's grid to the prepared scan's: trilinear, the largest value 1 (all 0 stays so).
data::Volume enlarge(const at::Tensor& heat, const data::Volume& prepared) {
  const data::Extent& extent = prepared.extent;
  const at::Tensor large =
      at::upsample_trilinear3d(heat.view({1, 1, heat.size(0), heat.size(1), heat.size(2)}).to(at::kFloat),
                               {extent[0], extent[1], extent[2]}, false)
          .contiguous();
  const float highest = large.max().item<float>();
  data::Volume result{extent, prepared.affine, {}};
  const auto* values = large.const_data_ptr<float>();
  result.voxels.assign(values, values + large.numel());
  if (highest > 0.0F)
    for (float& value : result.voxels) value /= highest;
  return result;
}

using Point = std::array<double, 3>;

/// The inverse of an affine map, applied.
class Inverse {
 public:
  explicit Inverse(const data::Affine& affine) : offset_{affine[0][3], affine[1][3], affine[2][3]} {
    const auto& a = affine;
    const double determinant = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
                               a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
                               a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) {
        const std::size_t r = (j + 1) % 3, s = (j + 2) % 3, u = (i + 1) % 3, v = (i + 2) % 3;
        rows_[i][j] = (a[r][u] * a[s][v] - a[r][v] * a[s][u]) / determinant;
      }
  }
  [[nodiscard]] Point of(const Point& point) const {
    Point result{};
    for (std::size_t i = 0; i < 3; ++i)
      for (std::size_t j = 0; j < 3; ++j) result[i] += rows_[i][j] * (point[j] - offset_[j]);
    return result;
  }

 private:
  std::array<Point, 3> rows_{};
  Point offset_;
};

/// Trilinear; 0 outside.
float interpolate(const data::Volume& volume, const Point& at) {
  double sum = 0.0;
  for (int corner = 0; corner < 8; ++corner) {
    double weight = 1.0;
    std::int64_t index = 0;
    bool is_inside = true;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const double floor = std::floor(at[axis]);
      const bool is_upper = ((corner >> axis) & 1) != 0;
      const std::int64_t i = static_cast<std::int64_t>(floor) + (is_upper ? 1 : 0);
      weight *= is_upper ? at[axis] - floor : 1.0 - (at[axis] - floor);
      is_inside = is_inside && i >= 0 && i < volume.extent[axis];
      index = index * volume.extent[axis] + i;
    }
    if (is_inside) sum += weight * static_cast<double>(volume.voxels[static_cast<std::size_t>(index)]);
  }
  return static_cast<float>(sum);
}

/// `heat` on the grid of `scan`.
data::Volume in_space_of(const data::Volume& heat, const data::Volume& scan) {
  const Inverse to_heat(heat.affine);
  data::Volume result{scan.extent, scan.affine, {}};
  result.voxels.reserve(scan.voxels.size());
  for (std::int64_t i = 0; i < scan.extent[0]; ++i)
    for (std::int64_t j = 0; j < scan.extent[1]; ++j)
      for (std::int64_t k = 0; k < scan.extent[2]; ++k) {
        Point point{};
        for (std::size_t row = 0; row < 3; ++row)
          point[row] = scan.affine[row][0] * static_cast<double>(i) + scan.affine[row][1] * static_cast<double>(j) +
                       scan.affine[row][2] * static_cast<double>(k) + scan.affine[row][3];
        result.voxels.push_back(interpolate(heat, to_heat.of(point)));
      }
  return result;
}

std::string report(const ExplainJob& job, const HeatMap& found, const std::vector<std::string>& classes) {
  const auto* values = found.probabilities.const_data_ptr<double>();
  const std::string& name = classes[static_cast<std::size_t>(found.class_index)];
  if (job.is_json) {
    json::Value probabilities = json::Value::object();
    for (std::size_t c = 0; c < classes.size(); ++c) probabilities[classes[c]] = values[c];
    const json::Value document{{"schema", "gabra/explain/1"},
                               {"command", "explain"},
                               {"volume", job.volume},
                               {"class", name},
                               {"probabilities", probabilities},
                               {"layer", found.layer},
                               {"heat", job.heat_file.empty() ? json::Value() : json::Value(job.heat_file)},
                               {"picture", job.picture_file.empty() ? json::Value() : json::Value(job.picture_file)}};
    return document.dump(1, ' ', false, json::Value::error_handler_t::replace) + "\n";
  }
  std::string text = fmt::format("{}: evidence for {} in the output of {}", job.volume, name, found.layer);
  for (std::size_t c = 0; c < classes.size(); ++c) text += fmt::format(", p({}) {:.4f}", classes[c], values[c]);
  text += "\n";
  if (found.heat.max().item<double>() <= 0.0) text += "Note: no position speaks for this class; the heat map is 0\n";
  constexpr std::int64_t kCoarse = 4;
  if (const auto cells = found.heat.sizes(); *std::min_element(cells.begin(), cells.end()) < kCoarse)
    text += fmt::format("Note: the map of {} has {} cells, which shows little; --layer takes an earlier one\n",
                        found.layer, fmt::join(cells, "x"));
  if (!job.heat_file.empty()) text += fmt::format("heat map: {}\n", job.heat_file);
  if (!job.picture_file.empty()) text += fmt::format("picture: {}\n", job.picture_file);
  return text;
}

}  // namespace

std::string explain(const ExplainJob& job) {
  TensorMemory::install();
  at::set_num_threads(static_cast<int>(job.threads));
  const Checkpoint checkpoint = read_checkpoint(job.checkpoint);
  const DataDescription description = parse_data_description(checkpoint.info.data, checkpoint.path);
  const auto wanted = class_index(job, description.task.classes);
  const c10::Device device = lone_device(job.hardware);
  const data::Volume scan = data::read_nifti(job.volume);
  data::Volume prepared = data::preprocess(scan, description.settings, job.volume);
  const data::Extent& extent = prepared.extent;
  const at::Tensor input =
      at::from_blob(prepared.voxels.data(), {1, 1, extent[0], extent[1], extent[2]}, at::kFloat).clone();
  const HeatMap found =
      grad_cam(*checkpoint.info.network, checkpoint.tensors, input, {wanted, job.layer, device}, checkpoint.path);
  const data::Volume heat = in_space_of(enlarge(found.heat, prepared), scan);
  if (!job.heat_file.empty()) data::write_nifti(job.heat_file, heat);
  if (!job.picture_file.empty()) write_file_atomically(job.picture_file, to_png(draw_slices(scan, heat)));
  return report(job, found, description.task.classes);
}

}  // namespace gabra::exec
