// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gabra::exec {

// Reader and writer of the pickles inside PyTorch's .pt files. Reading runs no code: what is not plain data, a storage
// or a tensor is refused.

/// Index into Pickle::values: values may share parts and even contain themselves.
using PickleIndex = std::size_t;

struct PickleList {
  std::vector<PickleIndex> items;
};
struct PickleTuple {
  std::vector<PickleIndex> items;
};
struct PickleDictionary {
  std::vector<std::pair<PickleIndex, PickleIndex>> items;  ///< key, value; in order
};
/// A Python name, not called.
struct PickleName {
  std::string module;
  std::string name;
};
/// "FloatStorage", in the record data/KEY.
struct PickleStorage {
  std::string type;
  std::string key;
  std::int64_t elements = 0;
};
struct PickleTensor {
  PickleStorage storage;
  std::int64_t offset = 0;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
};

using PickleValue = std::variant<std::monostate, bool, std::int64_t, double, std::string, PickleList, PickleTuple,
                                 PickleDictionary, PickleName, PickleStorage, PickleTensor>;

struct Pickle {
  std::deque<PickleValue> values;
  PickleIndex root = 0;

  /// The value of `key` in a dictionary, if `holder` is one that has it.
  [[nodiscard]] const PickleValue* find(const PickleValue& holder, std::string_view key) const;
};

/// Reads protocols 2 to 4. Throws InputError naming `place`, and the byte, for anything malformed or not allowed.
[[nodiscard]] Pickle parse_pickle(std::string_view bytes, const std::string& place);

/// A contiguous tensor of a dictionary to write.
struct PickleEntry {
  std::string name;
  std::string storage_type;  ///< "FloatStorage"
  std::vector<std::int64_t> sizes;
};
/// The pickle of {name: tensor}; tensor i is the whole storage data/i.
[[nodiscard]] std::string write_pickle(const std::vector<PickleEntry>& entries);

}  // namespace gabra::exec
