// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/stage_module.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gabra::exec {

/// Size and checksum of a file.
struct FileDigest {
  std::int64_t bytes = 0;
  std::uint32_t crc32 = 0;
  auto operator<=>(const FileDigest&) const = default;
};

/// Writes {name: tensor} so that Python's torch.load(path, weights_only=True) reads it: through a temporary file beside
/// `path`, which is on disk before it takes the name. Tensors may be on any device. Throws Error when that fails (a
/// full disk), `path` untouched.
FileDigest write_tensors(const std::string& path, std::span<const NamedTensor> tensors);

/// The tensors of a .pt file that torch.save() or write_tensors() wrote, in its order, on the CPU: of a dictionary of
/// tensors, or of one under its key "state_dict" or "model"; what is no tensor is left out. Throws InputError naming
/// `path` for everything else, never crashes.
[[nodiscard]] std::vector<NamedTensor> read_tensors(const std::string& path);

/// Reads the file once. Throws InputError when it cannot be read.
[[nodiscard]] FileDigest digest_of(const std::string& path);

}  // namespace gabra::exec
