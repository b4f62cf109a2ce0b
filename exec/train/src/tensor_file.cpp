// SPDX-License-Identifier: MIT
#include "gabra/exec/tensor_file.hpp"

#include "durable_file.hpp"
#include "gabra/core/check.hpp"
#include "gabra/core/error.hpp"
#include "gabra/exec/pickle.hpp"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

namespace gabra::exec {
namespace {

using caffe2::serialize::PyTorchStreamReader;
using caffe2::serialize::PyTorchStreamWriter;

struct StorageType {
  const char* name;
  at::ScalarType type;
};
constexpr std::array kStorageTypes{
    StorageType{"FloatStorage", at::kFloat}, StorageType{"DoubleStorage", at::kDouble},
    StorageType{"HalfStorage", at::kHalf},   StorageType{"BFloat16Storage", at::kBFloat16},
    StorageType{"LongStorage", at::kLong},   StorageType{"IntStorage", at::kInt},
    StorageType{"ShortStorage", at::kShort}, StorageType{"CharStorage", at::kChar},
    StorageType{"ByteStorage", at::kByte},   StorageType{"BoolStorage", at::kBool},
};

constexpr const char* kAllowed = "a .pt file with tensors by name, as torch.save(model.state_dict()) writes it";

const char* storage_name(at::ScalarType type) {
  for (const StorageType& known : kStorageTypes)
    if (known.type == type) return known.name;
  GABRA_CHECK(false, "a tensor of a type that no model has");
  return nullptr;
}

/// Reads the tensors of one archive; storages that tensors share are read once.
class ArchiveReader {
 public:
  explicit ArchiveReader(const std::string& path)
      : path_(path), bytes_(std::filesystem::file_size(path)), archive_(path) {}

  std::vector<NamedTensor> read() {
    const std::string text = record("data.pkl");
    if (archive_.hasRecord("byteorder") && record("byteorder") != "little") fail("numbers in big-endian order");
    const Pickle pickle = parse_pickle(text, path_);
    const PickleValue* root = &pickle.values[pickle.root];
    std::vector<NamedTensor> tensors = tensors_of(pickle, *root);
    for (const char* key : {"state_dict", "model", "model_state_dict"})
      if (const PickleValue* inner = pickle.find(*root, key); tensors.empty() && inner != nullptr)
        tensors = tensors_of(pickle, *inner);
    if (tensors.empty()) fail("no tensors by name");
    return tensors;
  }

 private:
  [[noreturn]] void fail(const std::string& seen) const { throw_input_error(path_, seen, kAllowed); }

  /// torch.save() does not compress, so a record is never larger than its file.
  void check_record(const std::string& name) {
    if (!archive_.hasRecord(name)) fail("no record " + in_quotes(name));
    if (archive_.getRecordSize(name) > bytes_) fail(fmt::format("a record {} larger than the file", in_quotes(name)));
  }

  std::string record(const std::string& name) {
    check_record(name);
    const auto [data, size] = archive_.getRecord(name);
    return {static_cast<const char*>(data.get()), size};
  }

  std::vector<NamedTensor> tensors_of(const Pickle& pickle, const PickleValue& holder) {
    std::vector<NamedTensor> result;
    const auto* dictionary = std::get_if<PickleDictionary>(&holder);
    if (dictionary == nullptr) return result;
    for (const auto& item : dictionary->items) {
      const auto* name = std::get_if<std::string>(&pickle.values[item.first]);
      const auto* tensor = std::get_if<PickleTensor>(&pickle.values[item.second]);
      if (name != nullptr && tensor != nullptr) result.push_back({*name, to_tensor(*tensor, *name)});
    }
    return result;
  }

  at::Tensor storage(const PickleStorage& wanted) {
    if (const auto found = storages_.find(wanted.key); found != storages_.end()) return found->second;
    const auto type = std::find_if(kStorageTypes.begin(), kStorageTypes.end(),
                                   [&](const StorageType& known) { return wanted.type == known.name; });
    if (type == kStorageTypes.end()) fail("tensors of the type " + in_quotes(wanted.type));
    const std::string name = "data/" + wanted.key;
    check_record(name);
    auto [data, size] = archive_.getRecord(name);
    const auto width = static_cast<std::size_t>(at::elementSize(type->type));
    if (wanted.elements < 0 || size % width != 0 || size / width != static_cast<std::size_t>(wanted.elements))
      fail(fmt::format("{} bytes in {} for {} elements of {} bytes", size, in_quotes(name), wanted.elements, width));
    at::Tensor whole = at::empty({wanted.elements}, at::TensorOptions(type->type));
    if (size > 0) std::memcpy(whole.mutable_data_ptr(), data.get(), size);
    return storages_.emplace(wanted.key, std::move(whole)).first->second;
  }

  at::Tensor to_tensor(const PickleTensor& wanted, const std::string& name) {
    const at::Tensor whole = storage(wanted.storage);
    if (!lies_within(wanted, whole.numel()))
      fail(fmt::format("a tensor {} that reaches beyond its storage", in_quotes(name)));
    return whole.as_strided(wanted.sizes, wanted.strides, wanted.offset).contiguous();
  }

  /// Whether every element is one of the storage's.
  static bool lies_within(const PickleTensor& tensor, std::int64_t elements) {
    if (tensor.sizes.size() != tensor.strides.size() || tensor.offset < 0) return false;
    std::int64_t last = tensor.offset;
    bool is_empty = false;
    for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
      const std::int64_t size = tensor.sizes[i];
      const std::int64_t stride = tensor.strides[i];
      if (size < 0 || stride < 0) return false;
      std::int64_t reach = 0;
      if (size == 0) is_empty = true;
      if (size > 1 && (__builtin_mul_overflow(size - 1, stride, &reach) || __builtin_add_overflow(last, reach, &last)))
        return false;
    }
    // A stride of 0 repeats elements: no model has that, and it would make a tensor larger than its file.
    std::int64_t count = 1;
    for (const std::int64_t size : tensor.sizes)
      if (__builtin_mul_overflow(count, size, &count)) return false;
    return is_empty ? tensor.offset <= elements : last < elements && count <= elements;
  }

  const std::string& path_;
  std::uintmax_t bytes_;
  PyTorchStreamReader archive_;
  std::map<std::string, at::Tensor> storages_;
};

}  // namespace

FileDigest write_tensors(const std::string& path, std::span<const NamedTensor> tensors) {
  std::vector<PickleEntry> entries;
  for (const NamedTensor& named : tensors)
    entries.push_back({named.name, storage_name(named.tensor.scalar_type()), named.tensor.sizes().vec()});
  DurableFile file(path);
  // The writer must not see an error: its destructor would throw. The file remembers it.
  const auto write = [&file](const void* data, std::size_t size) {
    file.write(data, size);
    return size;
  };
  {
    PyTorchStreamWriter archive(write);
    const std::string text = write_pickle(entries);
    archive.writeRecord("data.pkl", text.data(), text.size());
    archive.writeRecord("byteorder", "little", 6);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const at::Tensor whole = tensors[i].tensor.to(at::kCPU).contiguous();
      archive.writeRecord("data/" + std::to_string(i), whole.const_data_ptr(), whole.nbytes());
    }
    archive.writeEndOfFile();
  }
  file.commit();
  return {file.bytes(), file.crc32()};
}

std::vector<NamedTensor> read_tensors(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw_input_error(path, std::filesystem::exists(path, error) ? "no regular file" : "no such file", kAllowed);
  try {
    return ArchiveReader(path).read();
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& broken) {  // c10::Error, and what the standard library throws on nonsense
    std::string reason = broken.what();
    reason = reason.substr(0, std::min(reason.find('\n'), reason.find(". ")));
    throw_input_error(path, "a file that is damaged or of another kind (" + reason + ")", kAllowed);
  }
}

FileDigest digest_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw_input_error(path, "a file that cannot be read", "a readable file");
  FileDigest digest;
  uLong crc = 0;
  std::vector<char> piece(std::size_t{1} << 20U);
  while (stream.read(piece.data(), static_cast<std::streamsize>(piece.size())), stream.gcount() > 0) {
    const auto count = stream.gcount();
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(count));
    digest.bytes += count;
  }
  if (stream.bad()) throw_input_error(path, "a file that cannot be read to its end", "a readable file");
  digest.crc32 = static_cast<std::uint32_t>(crc);
  return digest;
}

}  // namespace gabra::exec
