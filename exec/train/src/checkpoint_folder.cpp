// SPDX-License-Identifier: MIT
#include "durable_file.hpp"
#include "gabra/core/error.hpp"
#include "gabra/core/file.hpp"
#include "gabra/exec/checkpoint.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace gabra::exec {
namespace {

constexpr const char* kAllowed = "a checkpoint of gabra train: NAME.pt with NAME.json beside it, or their folder";
constexpr std::string_view kBest = "best";
constexpr std::string_view kDamaged = ".damaged";

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

/// Of stems "step-000123": more digits are more steps.
bool is_later(const std::string& a, const std::string& b) { return a.size() != b.size() ? a.size() > b.size() : a > b; }

void report(const std::string& what, const InputError& error) {
  for (const Fault& fault : error.faults()) fmt::print(stderr, "gabra: {}: {}\n", what, to_text(fault));
}

/// "best-000120.pt", or "best.pt" of an older gabra.
bool is_best_tensors(const std::filesystem::path& path) {
  const std::string name = path.stem().string();
  return path.extension() == ".pt" && name.starts_with(kBest) &&
         (name.size() == kBest.size() ||
          (name[kBest.size()] == '-' && name.find_first_not_of("0123456789", kBest.size() + 1) == std::string::npos));
}

/// The document that speaks of NAME.pt or is NAME.json, without ".json".
std::string stem_of(const std::filesystem::path& file) {
  std::filesystem::path stem = file;
  stem.replace_extension();
  const std::filesystem::path best = file.parent_path() / kBest;
  std::error_code error;
  if (is_best_tensors(file) && !std::filesystem::exists(stem.string() + ".json", error) &&
      std::filesystem::exists(best.string() + ".json", error))
    return best.string();
  return stem.string();
}

Checkpoint read_best_or_newest(const std::string& folder) {
  const CheckpointFolder checkpoints(folder, 0);
  const std::string best = folder + "/" + std::string(kBest);
  std::error_code error;
  if (!std::filesystem::exists(best + ".json", error)) {
    auto newest = checkpoints.read_newest(CheckpointFolder::Damaged::Stay);
    if (!newest) throw_input_error(folder, "a folder without checkpoints", kAllowed);
    return std::move(*newest);
  }
  try {
    return read_stem(best);
  } catch (const InputError& damaged) {
    auto newest = checkpoints.read_newest(CheckpointFolder::Damaged::Stay);
    if (!newest) throw;
    report("damaged checkpoint, taking the newest in place of the best", damaged);
    return std::move(*newest);
  }
}

}  // namespace

Checkpoint read_checkpoint(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return read_best_or_newest(path);
  if (!std::filesystem::exists(path, error)) throw_input_error(path, "no such file", kAllowed);
  const std::filesystem::path file(path);
  if (file.extension() != ".pt" && file.extension() != ".json")
    throw_input_error(path, "another kind of file", kAllowed);
  Checkpoint checkpoint = read_stem(stem_of(file));
  if (file.extension() == ".pt" && checkpoint.info.file != file.filename())
    throw_input_error(path, fmt::format("a file that {} does not speak of", checkpoint.path), checkpoint.info.file);
  return checkpoint;
}

void CheckpointFolder::lock() {
  if (lock_ >= 0) return;
  const std::string path = folder_ + "/.lock";
  lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) throw_input_error(path, std::strerror(errno), "a folder that can be written");
  // Where a file system has no locks, two trainings are the user's care.
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw_input_error("--checkpoint-dir",
                      fmt::format("{}, into which another training writes right now", in_quotes(folder_)),
                      "a folder of its own for every training");
}

CheckpointFolder::~CheckpointFolder() {
  if (lock_ >= 0) ::close(lock_);
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
  std::sort(result.begin(), result.end(), [](const std::string& a, const std::string& b) { return is_later(a, b); });
  return result;
}

std::string CheckpointFolder::write_as(const std::string& stem, CheckpointInfo info,
                                       std::span<const NamedTensor> tensors) const {
  std::string path = folder_ + "/" + info.file;
  info.digest = write_tensors(path, tensors);
  write_durably(folder_ + "/" + stem + ".json", to_json_text(info));
  return path;
}

std::string CheckpointFolder::write(CheckpointInfo info, std::span<const NamedTensor> tensors) const {
  const std::string stem = fmt::format("step-{:06}", info.step);
  info.file = stem + ".pt";
  std::string path = write_as(stem, std::move(info), tensors);
  // Later ones are not this run's: they neither count nor go.
  std::vector<std::string> all = stems();
  std::erase_if(all, [&](const std::string& one) { return is_later(one, stem); });
  for (std::size_t i = static_cast<std::size_t>(std::max<std::int64_t>(kept_, 1)); i < all.size(); ++i) {
    remove_file(folder_ + "/" + all[i] + ".json");
    remove_file(folder_ + "/" + all[i] + ".pt");
  }
  return path;
}

std::string CheckpointFolder::write_best(CheckpointInfo info, std::span<const NamedTensor> tensors) const {
  info.file = fmt::format("{}-{:06}.pt", kBest, info.step);
  std::string path = write_as(std::string(kBest), std::move(info), tensors);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
    if (is_best_tensors(entry.path()) && entry.path().filename() != std::filesystem::path(path).filename())
      remove_file(entry.path().string());
  return path;
}

std::optional<CheckpointInfo> CheckpointFolder::read_best_info() const {
  const std::string path = folder_ + "/" + std::string(kBest) + ".json";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  try {
    return parse_checkpoint(read_file(path), path);
  } catch (const InputError& damaged) {
    report("damaged checkpoint, the next one is the best", damaged);
    return std::nullopt;
  }
}

void CheckpointFolder::set_aside(const std::string& stem) const {
  for (const char* extension : {".json", ".pt"}) {
    const std::string from = folder_ + "/" + stem + extension;
    const std::string to = from + std::string(kDamaged);
    std::error_code error;
    if (!std::filesystem::exists(from, error)) continue;
    std::filesystem::rename(from, to, error);
    fmt::print(stderr, "gabra: {} {}\n", from, error ? "could not be set aside: " + error.message() : "is now " + to);
  }
}

std::optional<Checkpoint> CheckpointFolder::read_newest(Damaged damaged) const {
  std::vector<std::string> passed_over;
  const std::vector<std::string> all = stems();
  for (const std::string& stem : all) {
    try {
      Checkpoint found = read_stem(folder_ + "/" + stem);
      if (damaged == Damaged::SetAside)
        for (const std::string& broken : passed_over) set_aside(broken);
      return found;
    } catch (const InputError& error) {
      if (stem == all.back()) throw;  // those before were reported
      report("damaged checkpoint, trying the one before it", error);
      passed_over.push_back(stem);
    }
  }
  return std::nullopt;
}

}  // namespace gabra::exec
