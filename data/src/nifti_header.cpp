// SPDX-License-Identifier: MIT
#include "nifti_header.hpp"

#include "gabra/core/error.hpp"

#include <fmt/format.h>
#include <nifti2_io.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

namespace gabra::data {
namespace {

constexpr const char* kAllowedFile = "a NIfTI-1 or NIfTI-2 image in one file (.nii, .nii.gz)";

template <class T>
T native(T value, bool is_swapped) {
  if (is_swapped) nifti_swap_Nbytes(1, sizeof(T), &value);
  return value;
}

/// The fields that decide how much is read, of either version.
struct Fields {
  std::array<std::int64_t, 8> dim{};
  int datatype = 0;
  int bits = 0;
  double offset = 0.0;
  bool is_swapped = false;
};

template <class Header>
Fields fields_of(const Header& header, bool is_swapped) {
  Fields fields;
  for (std::size_t i = 0; i < 8; ++i) fields.dim[i] = native(header.dim[i], is_swapped);
  fields.datatype = native(header.datatype, is_swapped);
  fields.bits = native(header.bitpix, is_swapped);
  fields.offset = static_cast<double>(native(header.vox_offset, is_swapped));
  fields.is_swapped = is_swapped;
  return fields;
}

std::string dimensions_text(const Fields& fields) {
  if (fields.dim[0] < 1 || fields.dim[0] > 7) return fmt::format("a header with {} dimensions", fields.dim[0]);
  std::string text;
  for (std::size_t i = 1; i <= static_cast<std::size_t>(fields.dim[0]); ++i)
    text += fmt::format("{}{}", i == 1 ? "" : "x", fields.dim[i]);
  return fmt::format("wrong dimensions: {}", text);
}

void check_dimensions(const Fields& fields, const std::string& path) {
  const auto& dim = fields.dim;
  bool is_right = dim[0] >= 3 && dim[0] <= 7;
  for (std::size_t i = 1; i <= 3 && is_right; ++i) is_right = dim[i] >= kFewestVoxelsPerAxis && dim[i] <= kMostVoxels;
  for (std::size_t i = 4; is_right && i <= static_cast<std::size_t>(dim[0]); ++i) is_right = dim[i] == 0 || dim[i] == 1;
  // Each is at most 2^30, so the product of two fits.
  is_right = is_right && dim[1] * dim[2] <= kMostVoxels && dim[1] * dim[2] * dim[3] <= kMostVoxels;
  if (!is_right)
    throw_input_error(path, dimensions_text(fields),
                      fmt::format("one volume of three dimensions, each at least {}, of at most {} voxels",
                                  kFewestVoxelsPerAxis, kMostVoxels));
}

void check_datatype(const Fields& fields, const std::string& path) {
  switch (fields.datatype) {
    case NIFTI_TYPE_UINT8:
    case NIFTI_TYPE_INT8:
    case NIFTI_TYPE_UINT16:
    case NIFTI_TYPE_INT16:
    case NIFTI_TYPE_UINT32:
    case NIFTI_TYPE_INT32:
    case NIFTI_TYPE_UINT64:
    case NIFTI_TYPE_INT64:
    case NIFTI_TYPE_FLOAT32:
    case NIFTI_TYPE_FLOAT64:
      break;
    default:
      throw_input_error(path, fmt::format("datatype {}", fields.datatype),
                        "real numbers: integers of 8 to 64 bits, float32, float64");
  }
  int bytes = 0;
  int swap_size = 0;
  nifti_datatype_sizes(fields.datatype, &bytes, &swap_size);
  if (fields.bits != 8 * bytes)
    throw_input_error(path, fmt::format("datatype {} with {} bits a voxel", fields.datatype, fields.bits),
                      fmt::format("{} bits", 8 * bytes));
}

std::int64_t checked_offset(const Fields& fields, std::size_t header_bytes, const std::string& path) {
  const auto first = static_cast<double>(header_bytes + 4);
  if (fields.offset == 0.0) return static_cast<std::int64_t>(first);
  if (!(fields.offset >= first && fields.offset <= static_cast<double>(kMostVoxels)) ||
      fields.offset != std::floor(fields.offset))
    throw_input_error(path, fmt::format("voxels at byte {}", fields.offset),
                      fmt::format("a whole number from {}", header_bytes + 4));
  return static_cast<std::int64_t>(fields.offset);
}

/// Which axis each stored one becomes, by the nearest direction; the affine of the turned volume.
void turn(StoredImage& image, const nifti_dmat44& matrix, const std::string& path) {
  Affine affine{};
  bool is_finite = true;
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column) {
      affine[row][column] = matrix.m[row][column];
      is_finite = is_finite && std::isfinite(affine[row][column]) && std::abs(affine[row][column]) < 1e9;
    }
  const auto sizes = voxel_sizes(affine);
  bool is_right = is_finite;
  for (const double size : sizes) is_right = is_right && size > 1e-6 && size < 1e6;
  std::array<int, 3> codes{};
  if (is_right) nifti_dmat44_to_orientation(matrix, &codes[0], &codes[1], &codes[2]);
  std::array<bool, 3> is_taken{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    is_right = is_right && codes[axis] >= NIFTI_L2R && codes[axis] <= NIFTI_S2I;
    if (!is_right) break;
    // L2R, P2A, I2S are 1, 3, 5: along x, y, z; 2, 4, 6 against it.
    image.target[axis] = static_cast<std::size_t>(codes[axis] - 1) / 2;
    image.is_flipped[axis] = codes[axis] % 2 == 0;
    is_right = !is_taken[image.target[axis]];
    is_taken[image.target[axis]] = true;
  }
  const double determinant = affine[0][0] * (affine[1][1] * affine[2][2] - affine[1][2] * affine[2][1]) -
                             affine[0][1] * (affine[1][0] * affine[2][2] - affine[1][2] * affine[2][0]) +
                             affine[0][2] * (affine[1][0] * affine[2][1] - affine[1][1] * affine[2][0]);
  if (!is_right || !(std::abs(determinant) > 1e-6 * sizes[0] * sizes[1] * sizes[2]))
    throw_input_error(path, "a matrix of orientation (sform or qform) that cannot be inverted",
                      "three directions of finite length that do not lie in a plane");
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t to = image.target[axis];
    image.header.extent[to] = image.stored[axis];
    const double sign = image.is_flipped[axis] ? -1.0 : 1.0;
    for (std::size_t row = 0; row < 3; ++row) {
      image.header.affine[row][to] = sign * affine[row][axis];
      if (image.is_flipped[axis])
        image.header.affine[row][3] += affine[row][axis] * static_cast<double>(image.stored[axis] - 1);
    }
  }
  for (std::size_t row = 0; row < 3; ++row) image.header.affine[row][3] += affine[row][3];
}

struct FreeImage {
  void operator()(nifti_image* image) const { nifti_image_free(image); }
};
using ImagePointer = std::unique_ptr<nifti_image, FreeImage>;

template <class Header>
StoredImage checked_image(const Header& header, bool is_swapped, nifti_image* (*convert)(Header, const char*),
                          const std::string& path) {
  const Fields fields = fields_of(header, is_swapped);
  check_dimensions(fields, path);
  check_datatype(fields, path);
  StoredImage image;
  image.offset = checked_offset(fields, sizeof(Header), path);
  // Only now may the library look at it: it would print complaints about what was refused above.
  [[maybe_unused]] static const bool kIsQuiet = (nifti_set_debug_level(0), true);
  const ImagePointer converted(convert(header, "scan.nii"));
  if (converted == nullptr) throw_input_error(path, "a header that is not valid", kAllowedFile);
  image.stored = {fields.dim[1], fields.dim[2], fields.dim[3]};
  image.datatype = fields.datatype;
  image.voxel_bytes = fields.bits / 8;
  image.is_swapped = is_swapped;
  if (std::isfinite(converted->scl_slope) && converted->scl_slope != 0.0) {
    image.slope = converted->scl_slope;
    image.intercept = std::isfinite(converted->scl_inter) ? converted->scl_inter : 0.0;
  }
  nifti_dmat44 matrix{};
  if (converted->sform_code > 0) {
    matrix = converted->sto_xyz;
  } else if (converted->qform_code > 0) {
    matrix = converted->qto_xyz;
  } else {
    const std::array<double, 3> steps{converted->dx, converted->dy, converted->dz};
    for (std::size_t axis = 0; axis < 3; ++axis) matrix.m[axis][axis] = std::abs(steps[axis]);
  }
  turn(image, matrix, path);
  return image;
}

}  // namespace

StoredImage parse_nifti_header(std::span<const unsigned char> bytes, const std::string& path) {
  std::int32_t size = 0;
  if (bytes.size() >= sizeof(size)) std::memcpy(&size, bytes.data(), sizeof(size));
  for (const bool is_swapped : {false, true}) {
    const auto header_bytes = static_cast<std::size_t>(static_cast<std::uint32_t>(native(size, is_swapped)));
    if ((header_bytes != kNifti1HeaderBytes && header_bytes != kNifti2HeaderBytes) || bytes.size() < header_bytes)
      continue;
    if (header_bytes == kNifti1HeaderBytes) {
      nifti_1_header header;
      static_assert(sizeof(header) == kNifti1HeaderBytes);
      std::memcpy(&header, bytes.data(), sizeof(header));
      if (std::memcmp(header.magic, "n+1", 4) == 0)
        return checked_image(header, is_swapped, &nifti_convert_n1hdr2nim, path);
      if (std::memcmp(header.magic, "ni1", 4) == 0)
        throw_input_error(path, "the header of a pair of files (.hdr, .img)", kAllowedFile);
      throw_input_error(path, "an ANALYZE header without NIfTI's mark", kAllowedFile);
    }
    nifti_2_header header;
    static_assert(sizeof(header) == kNifti2HeaderBytes);
    std::memcpy(&header, bytes.data(), sizeof(header));
    if (std::memcmp(header.magic, "n+2\0\r\n\032\n", 8) == 0)
      return checked_image(header, is_swapped, &nifti_convert_n2hdr2nim, path);
  }
  if (bytes.empty()) throw_input_error(path, "an empty file", kAllowedFile);
  throw_input_error(path, "a file that is not NIfTI", kAllowedFile);
}

}  // namespace gabra::data
