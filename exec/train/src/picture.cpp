// SPDX-License-Identifier: MIT
#include "picture.hpp"

#include "gabra/core/check.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>

namespace gabra::exec {
namespace {

constexpr std::int64_t kPanel = 256;  // pixels of the longest side
constexpr std::int64_t kGap = 4;

void append_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFFU);
}

void append_chunk(std::string& out, const std::string& kind, const std::string& data) {
  append_number(out, static_cast<std::uint32_t>(data.size()));
  const std::string body = kind + data;
  out += body;
  append_number(out, static_cast<std::uint32_t>(
                         ::crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
}

std::string compressed(const std::string& data) {
  uLongf size = ::compressBound(data.size());
  std::string out(size, '\0');
  const int result = ::compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                                 reinterpret_cast<const Bytef*>(data.data()), data.size(), Z_BEST_COMPRESSION);
  GABRA_CHECK(result == Z_OK, "zlib has memory");
  out.resize(size);
  return out;
}

using Index = std::array<std::int64_t, 3>;

float voxel(const data::Volume& volume, const Index& at) {
  return volume.voxels[static_cast<std::size_t>((at[0] * volume.extent[1] + at[1]) * volume.extent[2] + at[2])];
}

/// Grey values: black at the lowest, white at the 99.5th percentile.
struct GreyScale {
  explicit GreyScale(const data::Volume& volume) {
    std::vector<float> values = volume.voxels;
    const auto high_at = values.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), high_at, values.end());
    high = *high_at;
    low = *std::min_element(values.begin(), values.end());
  }
  [[nodiscard]] float of(float value) const {
    return high > low ? std::clamp((value - low) / (high - low), 0.0F, 1.0F) : 0.0F;
  }
  /// The air around a head is dark; in a scan of one value nothing is.
  [[nodiscard]] bool is_air(float value) const { return high > low && of(value) < kAir; }

  static constexpr float kAir = 0.05F;  // our own choice
  float low = 0.0F;
  float high = 1.0F;
};

/// Outside the air.
Index hottest(const data::Volume& scan, const data::Volume& heat, const GreyScale& grey) {
  std::size_t found = 0;
  float best = -1.0F;
  for (std::size_t i = 0; i < heat.voxels.size(); ++i)
    if (heat.voxels[i] > best && !grey.is_air(scan.voxels[i])) best = heat.voxels[found = i];
  const auto at = static_cast<std::int64_t>(found);
  const std::int64_t plane = heat.extent[1] * heat.extent[2];
  return {at / plane, at / heat.extent[2] % heat.extent[1], at % heat.extent[2]};
}

/// One slice: `across` runs to the right, `up` runs up, the third axis is fixed.
struct Panel {
  std::size_t across;
  std::size_t up;
};

class Canvas {
 public:
  Canvas(const data::Volume& scan, const data::Volume& heat)
      : scan_(scan), heat_(heat), grey_(scan), at_(hottest(scan, heat, grey_)), sizes_(data::voxel_sizes(scan.affine)) {
    double longest = 0.0;
    for (std::size_t axis = 0; axis < 3; ++axis) longest = std::max(longest, millimetres(axis));
    pitch_ = longest / static_cast<double>(kPanel);
  }

  Picture draw(const std::array<Panel, 3>& panels) {
    Picture picture;
    picture.height = kPanel;
    for (const Panel& panel : panels) picture.width += pixels(panel.across) + kGap;
    picture.width -= kGap;
    picture.pixels.assign(static_cast<std::size_t>(3 * picture.width * picture.height), 0);
    std::int64_t left = 0;
    for (const Panel& panel : panels) {
      draw_panel(panel, left, picture);
      left += pixels(panel.across) + kGap;
    }
    return picture;
  }

 private:
  [[nodiscard]] double millimetres(std::size_t axis) const {
    return static_cast<double>(scan_.extent[axis]) * sizes_[axis];
  }
  [[nodiscard]] std::int64_t pixels(std::size_t axis) const {
    return std::max<std::int64_t>(static_cast<std::int64_t>(std::lround(millimetres(axis) / pitch_)), 1);
  }
  [[nodiscard]] std::int64_t index(std::size_t axis, std::int64_t pixel) const {
    return std::min(pixel * scan_.extent[axis] / pixels(axis), scan_.extent[axis] - 1);
  }

  void draw_panel(const Panel& panel, std::int64_t left, Picture& picture) const {
    const std::int64_t height = pixels(panel.up);
    const std::int64_t top = (kPanel - height) / 2;
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < pixels(panel.across); ++x) {
        Index at = at_;
        at[panel.across] = index(panel.across, x);
        at[panel.up] = index(panel.up, height - 1 - y);
        put(picture, left + x, top + y, at);
      }
  }

  void put(Picture& picture, std::int64_t x, std::int64_t y, const Index& at) const {
    const float grey = grey_.of(voxel(scan_, at));
    const float heat = grey_.is_air(voxel(scan_, at)) ? 0.0F : std::clamp(voxel(heat_, at), 0.0F, 1.0F);
    // From red to yellow; nothing where there is no heat.
    const std::array<float, 3> colour{1.0F, heat, 0.0F};
    const float share = 0.7F * heat;
    for (std::size_t c = 0; c < 3; ++c) {
      const float value = (1.0F - share) * grey + share * colour[c];
      picture.pixels[static_cast<std::size_t>(3 * (y * picture.width + x)) + c] =
          static_cast<std::uint8_t>(std::lround(255.0F * value));
    }
  }

  const data::Volume& scan_;
  const data::Volume& heat_;
  GreyScale grey_;
  Index at_;
  std::array<double, 3> sizes_;
  double pitch_ = 1.0;
};

}  // namespace

std::string to_png(const Picture& picture) {
  std::string header;
  append_number(header, static_cast<std::uint32_t>(picture.width));
  append_number(header, static_cast<std::uint32_t>(picture.height));
  header += std::string("\x08\x02\x00\x00\x00", 5);  // 8 bits, RGB, no interlace
  std::string rows;
  const auto stride = static_cast<std::size_t>(3 * picture.width);
  for (std::int64_t y = 0; y < picture.height; ++y) {
    rows += '\0';  // no filter
    rows.append(reinterpret_cast<const char*>(picture.pixels.data()) + static_cast<std::size_t>(y) * stride, stride);
  }
  std::string out = "\x89PNG\r\n\x1a\n";
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", compressed(rows));
  append_chunk(out, "IEND", "");
  return out;
}

Picture draw_slices(const data::Volume& scan, const data::Volume& heat) {
  GABRA_CHECK(scan.extent == heat.extent, "the heat map is in the scan's space");
  return Canvas(scan, heat).draw({Panel{1, 2}, Panel{0, 2}, Panel{0, 1}});
}

}  // namespace gabra::exec
