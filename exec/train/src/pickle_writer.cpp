// SPDX-License-Identifier: MIT
#include "gabra/core/check.hpp"
#include "gabra/exec/pickle.hpp"

#include <limits>

namespace gabra::exec {
namespace {

void append_number(std::string& out, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFFU);
}

void append_text(std::string& out, const std::string& text) {
  GABRA_CHECK(text.size() <= std::numeric_limits<std::uint32_t>::max(), "a text that is too long for a pickle");
  out += 'X';
  append_number(out, text.size(), 4);
  out += text;
}

void append_integer(std::string& out, std::int64_t value) {
  if (value >= 0 && value <= std::numeric_limits<std::int32_t>::max()) {
    out += 'J';
    append_number(out, static_cast<std::uint64_t>(value), 4);
  } else {
    out += "\x8a\x08";
    append_number(out, static_cast<std::uint64_t>(value), 8);
  }
}

void append_name(std::string& out, const std::string& module, const std::string& name) {
  out += 'c' + module + '\n' + name + '\n';
}

void append_tuple(std::string& out, const std::vector<std::int64_t>& numbers) {
  out += '(';
  for (const std::int64_t number : numbers) append_integer(out, number);
  out += 't';
}

/// torch._utils._rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())
void append_tensor(std::string& out, const PickleEntry& entry, std::size_t index) {
  std::vector<std::int64_t> strides(entry.sizes.size());
  std::int64_t elements = 1;
  for (std::size_t i = entry.sizes.size(); i-- > 0;) {
    strides[i] = elements;
    elements *= entry.sizes[i];
  }
  append_name(out, "torch._utils", "_rebuild_tensor_v2");
  out += "((";
  append_text(out, "storage");
  append_name(out, "torch", entry.storage_type);
  append_text(out, std::to_string(index));
  append_text(out, "cpu");
  append_integer(out, elements);
  out += "tQ";
  append_integer(out, 0);
  append_tuple(out, entry.sizes);
  append_tuple(out, strides);
  out += '\x89';
  append_name(out, "collections", "OrderedDict");
  out += ")RtR";
}

}  // namespace

std::string write_pickle(const std::vector<PickleEntry>& entries) {
  std::string out = "\x80\x02}(";
  for (std::size_t i = 0; i < entries.size(); ++i) {
    append_text(out, entries[i].name);
    append_tensor(out, entries[i], i);
  }
  return out + "u.";
}

}  // namespace gabra::exec
