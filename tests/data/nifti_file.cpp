// SPDX-License-Identifier: MIT
#include "data/nifti_file.hpp"

#include "gabra/core/rng.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

namespace gabra::data {
namespace {

/// Puts numbers into bytes, in either byte order.
class Writer {
 public:
  Writer(std::size_t size, bool is_swapped) : bytes_(size, '\0'), is_swapped_(is_swapped) {}

  template <class T>
  void put(std::size_t offset, T value) {
    std::array<char, sizeof(T)> raw{};
    std::memcpy(raw.data(), &value, sizeof(T));
    if (is_swapped_) std::reverse(raw.begin(), raw.end());
    if (bytes_.size() < offset + sizeof(T)) bytes_.resize(offset + sizeof(T));
    std::copy(raw.begin(), raw.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  void put_text(std::size_t offset, const std::string& text) { bytes_.replace(offset, text.size(), text); }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
  bool is_swapped_;
};

int bits_of(int datatype) {
  switch (datatype) {
    case 2:
    case 256:
      return 8;
    case 4:
    case 512:
      return 16;
    case 64:
    case 1024:
    case 1280:
      return 64;
    default:
      return 32;
  }
}

void put_value(Writer& writer, std::size_t offset, int datatype, double value) {
  switch (datatype) {
    case 2:
      return writer.put(offset, static_cast<std::uint8_t>(value));
    case 256:
      return writer.put(offset, static_cast<std::int8_t>(value));
    case 4:
      return writer.put(offset, static_cast<std::int16_t>(value));
    case 512:
      return writer.put(offset, static_cast<std::uint16_t>(value));
    case 8:
      return writer.put(offset, static_cast<std::int32_t>(value));
    case 768:
      return writer.put(offset, static_cast<std::uint32_t>(value));
    case 1024:
      return writer.put(offset, static_cast<std::int64_t>(value));
    case 1280:
      return writer.put(offset, static_cast<std::uint64_t>(value));
    case 64:
      return writer.put(offset, value);
    default:
      return writer.put(offset, static_cast<float>(value));
  }
}

/// Where the fields are; `Real`, `Size`, `Code` are their types.
struct Offsets {
  std::size_t dim, datatype, bits, pixdim, offset, slope, qform_code, quaternion, srow;
};

template <class Real, class Size, class Code>
void put_fields(Writer& writer, const NiftiFile& file, const Offsets& at) {
  for (std::size_t i = 0; i < 8; ++i)
    writer.put(at.dim + i * sizeof(Size), static_cast<Size>(i < file.dim.size() ? file.dim[i] : 1));
  writer.put(at.datatype, static_cast<std::int16_t>(file.datatype));
  writer.put(at.bits, static_cast<std::int16_t>(file.bits == 0 ? bits_of(file.datatype) : file.bits));
  for (std::size_t i = 0; i < 4; ++i) writer.put(at.pixdim + i * sizeof(Real), static_cast<Real>(file.pixdim[i]));
  writer.put(at.slope, static_cast<Real>(file.slope));
  writer.put(at.slope + sizeof(Real), static_cast<Real>(file.intercept));
  writer.put(at.qform_code, static_cast<Code>(file.qform_code));
  writer.put(at.qform_code + sizeof(Code), static_cast<Code>(file.sform_code));
  for (std::size_t i = 0; i < 3; ++i) {
    writer.put(at.quaternion + i * sizeof(Real), static_cast<Real>(file.quaternion[i]));
    writer.put(at.quaternion + (i + 3) * sizeof(Real), static_cast<Real>(file.qoffset[i]));
    for (std::size_t j = 0; j < 4; ++j)
      writer.put(at.srow + (4 * i + j) * sizeof(Real), static_cast<Real>(file.srow[i][j]));
  }
}

}  // namespace

std::vector<double> counting(std::int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}

std::string to_bytes(const NiftiFile& file) {
  const std::size_t header = file.version == 1 ? 348 : 540;
  Writer writer(header + 4, file.is_swapped);
  writer.put(0, static_cast<std::int32_t>(header));
  const double offset = file.offset < 0.0 ? static_cast<double>(header + 4) : file.offset;
  if (file.version == 1) {
    put_fields<float, std::int16_t, std::int16_t>(writer, file, {40, 70, 72, 76, 108, 112, 252, 256, 280});
    writer.put(108, static_cast<float>(offset));
    writer.put_text(344, file.magic);
  } else {
    put_fields<double, std::int64_t, std::int32_t>(writer, file, {16, 12, 14, 104, 168, 176, 344, 352, 400});
    writer.put(168, static_cast<std::int64_t>(offset));
    writer.put_text(4, std::string("n+2\0\r\n\032\n", 8));
  }
  const auto first =
      std::max(header + 4, std::isfinite(offset) ? static_cast<std::size_t>(std::clamp(offset, 0.0, 1e6)) : 0);
  const auto size = static_cast<std::size_t>(bits_of(file.datatype)) / 8;
  for (std::size_t i = 0; i < file.values.size(); ++i)
    put_value(writer, first + i * size, file.datatype, file.values[i]);
  return writer.take();
}

std::string gzipped(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::vector<Bytef> plain(bytes.begin(), bytes.end());
  std::string packed(deflateBound(&stream, static_cast<uLong>(plain.size())), '\0');
  stream.next_in = plain.data();
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  EXPECT_TRUE(stream.flush()) << path;
}

TemporaryFolder::TemporaryFolder() {
  // In memory where that is possible: thousands of small files are slow on some disks.
  const bool has_memory = ::access("/dev/shm", W_OK) == 0;
  const std::filesystem::path parent = has_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
  std::string name = (parent / "gabra-data-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr) << name;
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

void write_toy_cohort(const std::string& directory, const std::vector<std::string>& groups, int per_class,
                      std::int64_t size, std::uint64_t seed) {
  std::string table = "participant_id\tage\tsex\tgroup\n";
  int person = 0;
  for (std::size_t label = 0; label < groups.size(); ++label)
    for (int i = 0; i < per_class; ++i, ++person) {
      std::string number = std::to_string(person);
      const std::string id = "sub-" + std::string(3 - std::min<std::size_t>(3, number.size()), '0') + number;
      Rng rng = Rng::substream(seed, static_cast<std::uint64_t>(person));
      NiftiFile file{.dim = {3, size, size, size}, .datatype = 4};
      for (std::int64_t z = 0; z < size; ++z)
        for (std::int64_t y = 0; y < size; ++y)
          for (std::int64_t x = 0; x < size; ++x) {
            const bool is_corner = std::max({x, y, z}) < size / 2;
            file.values.push_back(500.0 + 100.0 * rng.normal() +
                                  (is_corner ? 300.0 * static_cast<double>(label) : 0.0));
          }
      const std::string folder = directory + "/" + id + "/anat";
      std::filesystem::create_directories(folder);
      write_bytes(folder + "/" + id + "_T1w.nii.gz", gzipped(to_bytes(file)));
      table += id + "\t" + std::to_string(60 + person % 30) + "\t" + (person % 2 == 0 ? "F" : "M") + "\t" +
               groups[label] + "\n";
    }
  write_bytes(directory + "/participants.tsv", table);
}

}  // namespace gabra::data
