// SPDX-License-Identifier: MIT
#include "gabra/core/check.hpp"
#include "gabra/core/file.hpp"
#include "gabra/data/volume.hpp"

#include <nifti2_io.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace gabra::data {
namespace {

constexpr std::int64_t kHeaderBytes = 352;  // header and an empty list of extensions

std::string header_of(const Volume& volume) {
  const std::array<std::int64_t, 8> dim{3, volume.extent[0], volume.extent[1], volume.extent[2], 1, 1, 1, 1};
  const std::unique_ptr<nifti_1_header, decltype(&std::free)> header(
      nifti_make_new_n1_header(dim.data(), NIFTI_TYPE_FLOAT32), &std::free);
  GABRA_CHECK(header != nullptr, "a header of valid dimensions");
  const auto sizes = voxel_sizes(volume.affine);
  for (std::size_t axis = 0; axis < 3; ++axis) header->pixdim[axis + 1] = static_cast<float>(sizes[axis]);
  float* rows[3] = {header->srow_x, header->srow_y, header->srow_z};
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column)
      rows[row][column] = static_cast<float>(volume.affine[row][column]);
  header->sform_code = NIFTI_XFORM_SCANNER_ANAT;
  header->vox_offset = static_cast<float>(kHeaderBytes);
  header->xyzt_units = NIFTI_UNITS_MM;
  std::memcpy(header->magic, "n+1", 4);
  std::string bytes(static_cast<std::size_t>(kHeaderBytes), '\0');
  std::memcpy(bytes.data(), header.get(), sizeof(*header));
  return bytes;
}

/// A gzip member without name and time: equal input, equal output.
std::string compressed(std::string_view plain) {
  z_stream stream{};
  const int opened = deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  GABRA_CHECK(opened == Z_OK, "zlib has memory");
  std::string result;
  std::string piece(std::size_t{1} << 20U, '\0');
  int code = Z_OK;
  while (code != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      const std::string_view next = plain.substr(0, std::size_t{1} << 30U);
      plain.remove_prefix(next.size());
      // zlib does not write to its input; its type says nothing of it.
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(next.data()));
      stream.avail_in = static_cast<uInt>(next.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = deflate(&stream, plain.empty() ? Z_FINISH : Z_NO_FLUSH);
    GABRA_CHECK(code == Z_OK || code == Z_STREAM_END, "zlib goes on");
    result.append(piece, 0, piece.size() - stream.avail_out);
  }
  deflateEnd(&stream);
  return result;
}

}  // namespace

void write_nifti(const std::string& path, const Volume& volume) {
  const auto [nx, ny, nz] = volume.extent;
  GABRA_CHECK(static_cast<std::int64_t>(volume.voxels.size()) == voxel_count(volume.extent), "as many voxels as told");
  GABRA_CHECK(std::max({nx, ny, nz}) <= 32767, "an extent that NIfTI-1 can tell");
  std::string bytes = header_of(volume);
  bytes.reserve(bytes.size() + volume.voxels.size() * sizeof(float));
  for (std::int64_t z = 0; z < nz; ++z)
    for (std::int64_t y = 0; y < ny; ++y)
      for (std::int64_t x = 0; x < nx; ++x) {
        const float voxel = volume.voxels[static_cast<std::size_t>((x * ny + y) * nz + z)];
        bytes.append(reinterpret_cast<const char*>(&voxel), sizeof(voxel));
      }
  write_file_atomically(path, path.ends_with(".gz") ? compressed(bytes) : bytes);
}

}  // namespace gabra::data
