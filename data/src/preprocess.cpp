// SPDX-License-Identifier: MIT
#include "gabra/data/preprocess.hpp"

#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

namespace gabra::data {
namespace {

constexpr std::uint64_t kAugmentationStream = 0x6175676d656e74;  // "augment": apart from other uses of the seed

/// What resampling by splines leaves outside a masked brain is background too.
constexpr float kBackground = 1e-6F;

/// One output position as a weighted sum of source positions first, first + 1, ...; none outside the source.
struct Taps {
  std::size_t first = 0;
  std::vector<float> weights;
};

/// How `to` positions along an axis are made of `from`; `scale` source positions make one of the result, centres fall
/// together. The kernel is a triangle of half width max(1, scale): linear interpolation where the result is finer.
std::vector<Taps> taps_of(std::int64_t from, std::int64_t to, double scale) {
  std::vector<Taps> all(static_cast<std::size_t>(to));
  const double half_width = std::max(1.0, scale);
  for (std::int64_t i = 0; i < to; ++i) {
    const double centre =
        (static_cast<double>(i) - 0.5 * static_cast<double>(to - 1)) * scale + 0.5 * static_cast<double>(from - 1);
    // A hair's breadth of tolerance keeps the outermost voxels of a field of view that fits exactly.
    if (centre < -0.5 - 1e-9 || centre > static_cast<double>(from) - 0.5 + 1e-9) continue;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::ceil(centre - half_width)));
    const auto last = std::min<std::int64_t>(from - 1, static_cast<std::int64_t>(std::floor(centre + half_width)));
    std::vector<double> weights;
    double sum = 0.0;
    for (std::int64_t j = first; j <= last; ++j) {
      weights.push_back(std::max(0.0, 1.0 - std::abs(static_cast<double>(j) - centre) / half_width));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = static_cast<std::size_t>(first);
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return all;
}

/// Resamples along the middle axis of [outer, from, inner].
std::vector<float> resample_axis(const std::vector<float>& source, std::size_t outer, std::size_t from,
                                 std::size_t inner, const std::vector<Taps>& all) {
  std::vector<float> result(outer * all.size() * inner, 0.0F);
  for (std::size_t o = 0; o < outer; ++o)
    for (std::size_t i = 0; i < all.size(); ++i) {
      float* to = result.data() + (o * all.size() + i) * inner;
      for (std::size_t k = 0; k < all[i].weights.size(); ++k) {
        const float weight = all[i].weights[k];
        const float* row = source.data() + (o * from + all[i].first + k) * inner;
        for (std::size_t j = 0; j < inner; ++j) to[j] += weight * row[j];
      }
    }
  return result;
}

/// The value below which `percent` of the sorted values lie, linearly between neighbours (numpy's default).
float percentile(std::vector<float>& values, double percent) {
  const double at = percent / 100.0 * static_cast<double>(values.size() - 1);
  const auto index = static_cast<std::size_t>(at);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(values.begin(), middle, values.end());
  const double low = static_cast<double>(*middle);
  if (index + 1 == values.size()) return *middle;
  const auto high = static_cast<double>(*std::min_element(middle + 1, values.end()));
  return static_cast<float>(low + (high - low) * (at - static_cast<double>(index)));
}

}  // namespace

Volume resample(const Volume& volume, const Extent& extent, double voxel_mm) {
  const std::array<double, 3> from_mm = voxel_sizes(volume.affine);
  double to_mm = voxel_mm;
  if (to_mm <= 0.0)
    for (std::size_t axis = 0; axis < 3; ++axis)
      to_mm =
          std::max(to_mm, from_mm[axis] * static_cast<double>(volume.extent[axis]) / static_cast<double>(extent[axis]));
  Volume result{.extent = extent, .affine = volume.affine, .voxels = volume.voxels};
  // What shrinks most goes first: no intermediate is larger than it must be.
  std::array<std::size_t, 3> axes{2, 1, 0};
  const auto growth = [&](std::size_t axis) {
    return static_cast<double>(extent[axis]) / static_cast<double>(volume.extent[axis]);
  };
  std::stable_sort(axes.begin(), axes.end(), [&](std::size_t a, std::size_t b) { return growth(a) < growth(b); });
  Extent shape = volume.extent;
  for (const std::size_t axis : axes) {
    const double scale = to_mm / from_mm[axis];
    const auto from = static_cast<std::size_t>(shape[axis]);
    std::size_t outer = 1;
    std::size_t inner = 1;
    for (std::size_t i = 0; i < axis; ++i) outer *= static_cast<std::size_t>(shape[i]);
    for (std::size_t i = axis + 1; i < 3; ++i) inner *= static_cast<std::size_t>(shape[i]);
    result.voxels = resample_axis(result.voxels, outer, from, inner, taps_of(shape[axis], extent[axis], scale));
    shape[axis] = extent[axis];
    const double shift = 0.5 * static_cast<double>(volume.extent[axis] - 1) -
                         0.5 * static_cast<double>(extent[axis] - 1) * scale;  // source index of result index 0
    for (std::size_t row = 0; row < 3; ++row) {
      result.affine[row][3] += volume.affine[row][axis] * shift;
      result.affine[row][axis] *= scale;
    }
  }
  return result;
}

bool normalize(std::span<float> voxels, const PreprocessSettings& settings) {
  float largest = 0.0F;
  for (const float voxel : voxels) largest = std::max(largest, std::abs(voxel));
  const float least = largest * kBackground;
  std::vector<float> foreground;
  std::copy_if(voxels.begin(), voxels.end(), std::back_inserter(foreground),
               [&](float voxel) { return std::abs(voxel) > least; });
  if (foreground.empty()) return false;
  const float low = percentile(foreground, settings.low_percentile);
  const float high = percentile(foreground, settings.high_percentile);
  double sum = 0.0;
  for (const float voxel : foreground) sum += static_cast<double>(std::clamp(voxel, low, high));
  const double mean = sum / static_cast<double>(foreground.size());
  double squares = 0.0;
  for (const float voxel : foreground) {
    const double distance = static_cast<double>(std::clamp(voxel, low, high)) - mean;
    squares += distance * distance;
  }
  const double deviation = std::sqrt(squares / static_cast<double>(foreground.size()));
  if (!std::isfinite(deviation) || deviation <= 1e-6 * std::abs(mean) || deviation == 0.0) return false;
  for (float& voxel : voxels) {
    const double inside = (static_cast<double>(std::clamp(voxel, low, high)) - mean) / deviation;
    voxel = std::abs(voxel) > least ? static_cast<float>(inside) : 0.0F;
  }
  return true;
}

Volume preprocess(const Volume& volume, const PreprocessSettings& settings, const std::string& place) {
  Volume result = resample(volume, settings.extent, settings.voxel_mm);
  if (!normalize(result.voxels, settings))
    throw_input_error(place, "an image without contrast: all voxels that are not 0 are equal", "a scan of a head");
  return result;
}

Transform draw_transform(const Augmentation& augmentation, std::uint64_t seed, std::int64_t epoch,
                         std::uint64_t sample_key) {
  Rng rng = Rng::substream(seed ^ kAugmentationStream, static_cast<std::uint64_t>(epoch), sample_key);
  Transform result;
  // Both are always drawn, so that one option does not change what the other does.
  const bool flips = rng.chance(0.5);
  result.flips = augmentation.flips && flips;
  for (std::int64_t& shift : result.shift)
    shift = augmentation.max_shift > 0 ? rng.between(-augmentation.max_shift, augmentation.max_shift) : 0;
  return result;
}

void apply_transform(const Transform& transform, const Extent& extent, std::span<const float> from,
                     std::span<float> to) {
  GABRA_CHECK(from.size() == to.size() && static_cast<std::int64_t>(to.size()) == voxel_count(extent),
              "volumes of the extent");
  std::fill(to.begin(), to.end(), 0.0F);
  const auto [nx, ny, nz] = extent;
  const std::int64_t first_z = std::max<std::int64_t>(0, transform.shift[2]);
  const std::int64_t end_z = std::min(nz, nz + transform.shift[2]);
  if (first_z >= end_z) return;
  for (std::int64_t x = 0; x < nx; ++x)
    for (std::int64_t y = 0; y < ny; ++y) {
      const std::int64_t source_y = y - transform.shift[1];
      std::int64_t source_x = x - transform.shift[0];
      if (source_x < 0 || source_x >= nx || source_y < 0 || source_y >= ny) continue;
      if (transform.flips) source_x = nx - 1 - source_x;
      const float* row = from.data() + (source_x * ny + source_y) * nz + (first_z - transform.shift[2]);
      std::copy(row, row + (end_z - first_z), to.data() + (x * ny + y) * nz + first_z);
    }
}

}  // namespace gabra::data
