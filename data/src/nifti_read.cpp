// SPDX-License-Identifier: MIT
#include "gabra/core/error.hpp"
#include "gabra/data/volume.hpp"
#include "nifti_header.hpp"

#include <fmt/format.h>
#include <nifti2_io.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>
#include <vector>

namespace gabra::data {
namespace {

constexpr const char* kReadableFile = "a NIfTI file that can be read (.nii, .nii.gz)";
/// Deflate turns a byte into at most 1,032: a smaller file cannot hold what its header promises.
constexpr std::int64_t kMostInflation = 1032;
constexpr std::size_t kChunkVoxels = std::size_t{1} << 16;

std::int64_t regular_file_size(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::none)
    throw_input_error(path, "a file that cannot be read: " + error.message(), kReadableFile);
  if (!std::filesystem::exists(status)) throw_input_error(path, "no such file", kReadableFile);
  if (std::filesystem::is_directory(status)) throw_input_error(path, "a directory", kReadableFile);
  if (!std::filesystem::is_regular_file(status)) throw_input_error(path, "not a regular file", kReadableFile);
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw_input_error(path, "a file that cannot be read: " + error.message(), kReadableFile);
  return static_cast<std::int64_t>(size);
}

/// An open file, plain or gzip. Everything that goes wrong is an InputError.
class Source {
 public:
  explicit Source(const std::string& path) : path_(path), size_(regular_file_size(path)) {
    file_ = gzopen(path.c_str(), "rb");
    if (file_ == nullptr)
      throw_input_error(path, std::string("a file that cannot be read: ") + std::strerror(errno), kReadableFile);
    gzbuffer(file_, 1U << 17U);
  }
  ~Source() { gzclose_r(file_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// Up to bytes.size(); less at the end of the file only.
  [[nodiscard]] std::size_t read(std::span<unsigned char> bytes) {
    const int count = gzread(file_, bytes.data(), static_cast<unsigned>(bytes.size()));
    int code = Z_OK;
    const char* text = gzerror(file_, &code);
    if (count < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      const std::string reason = code == Z_ERRNO ? std::strerror(errno) : text;
      const bool is_short = code == Z_BUF_ERROR;
      throw_input_error(path_, fmt::format("{} gzip data: {}", is_short ? "truncated" : "damaged", clean(reason)),
                        "a file that gzip -t accepts");
    }
    return static_cast<std::size_t>(count);
  }
  void skip_to(std::int64_t offset) {
    if (gzseek(file_, offset, SEEK_SET) < 0) throw_input_error(path_, "a file that ends too early", kReadableFile);
  }
  [[nodiscard]] bool is_compressed() { return gzdirect(file_) == 0; }
  [[nodiscard]] std::int64_t size() const { return size_; }

 private:
  /// zlib puts the path in front.
  [[nodiscard]] std::string clean(const std::string& text) const {
    const std::string prefix = path_ + ": ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }

  std::string path_;
  std::int64_t size_;
  gzFile file_ = nullptr;
};

StoredImage read_header(Source& source, const std::string& path) {
  std::array<unsigned char, kNifti2HeaderBytes> bytes{};
  const std::size_t count = source.read(bytes);
  if (path.ends_with(".gz") && count > 0 && !source.is_compressed())
    throw_input_error(path, "no gzip data in a file named .gz", "a file that gzip -t accepts");
  const StoredImage image = parse_nifti_header(std::span(bytes).first(count), path);
  const std::int64_t needed = image.offset + voxel_count(image.stored) * image.voxel_bytes;
  if (!source.is_compressed() && source.size() < needed)
    throw_input_error(path, fmt::format("a truncated file of {} bytes", source.size()),
                      fmt::format("at least {} bytes, as its header says", needed));
  if (source.is_compressed() && needed / kMostInflation > source.size())
    throw_input_error(path, fmt::format("truncated gzip data: {} bytes", source.size()),
                      fmt::format("data for the {} bytes that its header says", needed));
  return image;
}

/// Copies stored voxels to `to` as float.
template <class T>
void convert(const std::vector<unsigned char>& bytes, const StoredImage& image, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    const double scaled = static_cast<double>(value) * image.slope + image.intercept;
    const bool fits = std::abs(scaled) <= static_cast<double>(std::numeric_limits<float>::max());
    to[i] = fits ? static_cast<float>(scaled) : std::numeric_limits<float>::quiet_NaN();
  }
}

void convert(const std::vector<unsigned char>& bytes, const StoredImage& image, std::span<float> to) {
  switch (image.datatype) {
    case NIFTI_TYPE_UINT8:
      return convert<std::uint8_t>(bytes, image, to);
    case NIFTI_TYPE_INT8:
      return convert<std::int8_t>(bytes, image, to);
    case NIFTI_TYPE_UINT16:
      return convert<std::uint16_t>(bytes, image, to);
    case NIFTI_TYPE_INT16:
      return convert<std::int16_t>(bytes, image, to);
    case NIFTI_TYPE_UINT32:
      return convert<std::uint32_t>(bytes, image, to);
    case NIFTI_TYPE_INT32:
      return convert<std::int32_t>(bytes, image, to);
    case NIFTI_TYPE_UINT64:
      return convert<std::uint64_t>(bytes, image, to);
    case NIFTI_TYPE_INT64:
      return convert<std::int64_t>(bytes, image, to);
    case NIFTI_TYPE_FLOAT32:
      return convert<float>(bytes, image, to);
    default:
      return convert<double>(bytes, image, to);
  }
}

/// Where stored voxels go in the turned volume, one after the other.
class Walk {
 public:
  explicit Walk(const StoredImage& image) : stored_(image.stored) {
    const Extent& extent = image.header.extent;
    const std::array<std::int64_t, 3> strides{extent[1] * extent[2], extent[2], 1};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::int64_t stride = strides[image.target[axis]];
      step_[axis] = image.is_flipped[axis] ? -stride : stride;
      if (image.is_flipped[axis]) at_ += stride * (stored_[axis] - 1);
    }
  }
  [[nodiscard]] std::size_t next() {
    const auto result = static_cast<std::size_t>(at_);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      at_ += step_[axis];
      if (++index_[axis] < stored_[axis]) break;
      at_ -= step_[axis] * stored_[axis];
      index_[axis] = 0;
    }
    return result;
  }

 private:
  Extent stored_;
  Extent index_{};
  std::array<std::int64_t, 3> step_{};
  std::int64_t at_ = 0;
};

void read_voxels(Source& source, const StoredImage& image, std::vector<float>& voxels, const std::string& path) {
  const auto count = static_cast<std::size_t>(voxel_count(image.stored));
  const auto voxel_bytes = static_cast<std::size_t>(image.voxel_bytes);
  voxels.resize(count);
  Walk walk(image);
  std::vector<unsigned char> bytes;
  std::vector<float> chunk;
  for (std::size_t begin = 0; begin < count; begin += chunk.size()) {
    chunk.resize(std::min(kChunkVoxels, count - begin));
    bytes.resize(chunk.size() * voxel_bytes);
    if (const std::size_t got = source.read(bytes); got < bytes.size())
      throw_input_error(path,
                        fmt::format("a file that ends after {} of {} bytes of voxels", begin * voxel_bytes + got,
                                    count * voxel_bytes),
                        kReadableFile);
    if (image.is_swapped && voxel_bytes > 1)
      nifti_swap_Nbytes(static_cast<std::int64_t>(chunk.size()), static_cast<int>(voxel_bytes), bytes.data());
    convert(bytes, image, chunk);
    for (const float voxel : chunk) voxels[walk.next()] = voxel;
  }
  // To the end, so that zlib compares the checksum; what follows the voxels is nobody's.
  if (source.is_compressed())
    for (int i = 0; i < 256 && source.read(bytes) == bytes.size(); ++i) continue;
}

void check_voxels(const std::vector<float>& voxels, const std::string& path) {
  const auto is_bad = [](float voxel) { return !std::isfinite(voxel); };
  if (const auto count = std::count_if(voxels.begin(), voxels.end(), is_bad); count > 0)
    throw_input_error(path, fmt::format("{} of {} voxels that are not finite numbers", count, voxels.size()),
                      "finite numbers");
  if (std::all_of(voxels.begin(), voxels.end(), [&](float voxel) { return voxel == voxels.front(); }))
    throw_input_error(path, fmt::format("all voxels equal to {}", voxels.front()), "an image");
}

}  // namespace

VolumeHeader read_nifti_header(const std::string& path) {
  Source source(path);
  return read_header(source, path).header;
}

Volume read_nifti(const std::string& path) {
  Source source(path);
  const StoredImage image = read_header(source, path);
  source.skip_to(image.offset);
  Volume volume{.extent = image.header.extent, .affine = image.header.affine, .voxels = {}};
  read_voxels(source, image, volume.voxels, path);
  check_voxels(volume.voxels, path);
  return volume;
}

}  // namespace gabra::data
