// SPDX-License-Identifier: MIT
#include "durable_file.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace gabra::exec {
namespace {

constexpr const char* kAllowed = "a checkpoint of gabra train: NAME.pt with NAME.json beside it, or their folder";
constexpr std::string_view kBest = "best";

/// Reads STEM.json and the tensors beside it, and checks size and checksum.
Checkpoint read_stem(const std::string& stem) {
  Checkpoint checkpoint;
  checkpoint.path = stem + ".json";
  checkpoint.info = parse_checkpoint(read_file(checkpoint.path), checkpoint.path);
  const std::string tensors = (std::filesystem::path(checkpoint.path).parent_path() / checkpoint.info.file).string();
  const FileDigest digest = digest_of(tensors);
  if (digest.bytes != checkpoint.info.digest.bytes)
    throw_input_error(tensors, fmt::format("{} bytes", digest.bytes),
                      fmt::format("{} bytes, as {} says", checkpoint.info.digest.bytes, checkpoint.path));
  if (digest.crc32 != checkpoint.info.digest.crc32)
    throw_input_error(tensors, fmt::format("the checksum {:08x}", digest.crc32),
                      fmt::format("{:08x}, as {} says", checkpoint.info.digest.crc32, checkpoint.path));
  checkpoint.tensors = read_tensors(tensors);
  return checkpoint;
}

void remove_file(const std::string& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
}

}  // namespace

Checkpoint read_checkpoint(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    const std::string best = path + "/" + std::string(kBest);
    if (std::filesystem::exists(best + ".json", error)) return read_stem(best);
    auto newest = CheckpointFolder(path, 0).read_newest();
    if (!newest) throw_input_error(path, "a folder without checkpoints", kAllowed);
    return std::move(*newest);
  }
  if (!std::filesystem::exists(path, error)) throw_input_error(path, "no such file", kAllowed);
  const std::filesystem::path file(path);
  if (file.extension() != ".pt" && file.extension() != ".json")
    throw_input_error(path, "another kind of file", kAllowed);
  std::filesystem::path stem = file;
  stem.replace_extension();
  return read_stem(stem.string());
}

void CheckpointFolder::clean() const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
    if (entry.path().extension() == kTemporarySuffix) remove_file(entry.path().string());
}

std::vector<std::string> CheckpointFolder::stems() const {
  std::vector<std::string> result;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && entry.path().extension() == ".json")
      result.push_back(entry.path().stem().string());
  }
  // More digits are more steps.
  std::sort(result.begin(), result.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a > b;
  });
  return result;
}

void CheckpointFolder::write_as(const std::string& stem, CheckpointInfo info,
                                std::span<const NamedTensor> tensors) const {
  info.file = stem + ".pt";
  info.digest = write_tensors(folder_ + "/" + info.file, tensors);
  write_durably(folder_ + "/" + stem + ".json", to_json_text(info));
}

void CheckpointFolder::write(CheckpointInfo info, std::span<const NamedTensor> tensors) const {
  const std::string stem = fmt::format("step-{:06}", info.step);
  write_as(stem, std::move(info), tensors);
  const std::vector<std::string> all = stems();
  for (std::size_t i = static_cast<std::size_t>(kept_); i < all.size(); ++i) {
    remove_file(folder_ + "/" + all[i] + ".json");
    remove_file(folder_ + "/" + all[i] + ".pt");
  }
}

void CheckpointFolder::write_best(CheckpointInfo info, std::span<const NamedTensor> tensors) const {
  // A new name for the tensors, so that best.json never speaks of others.
  write_as(std::string(kBest), std::move(info), tensors);
}

std::optional<Checkpoint> CheckpointFolder::read_newest() const {
  const std::vector<std::string> all = stems();
  FaultList faults;
  for (const std::string& stem : all) {
    try {
      return read_stem(folder_ + "/" + stem);
    } catch (const InputError& error) {
      for (const Fault& fault : error.faults()) {
        faults.add(fault.where, fault.seen, fault.allowed);
        fmt::print(stderr, "gabra: damaged checkpoint, trying the one before it: {}\n", to_text(fault));
      }
    }
  }
  faults.throw_if_any();
  return std::nullopt;
}

}  // namespace gabra::exec
