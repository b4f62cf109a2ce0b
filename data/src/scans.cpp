// SPDX-License-Identifier: MIT
#include "scans.hpp"

#include "text.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace gabra::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAllowedScan = "[ses-*/]anat/*_T1w.nii or .nii.gz in the person's folder";

/// Names in a folder, in natural order; none if there is no such folder.
std::vector<std::string> names_in(const fs::path& folder, std::vector<Fault>& faults) {
  std::vector<std::string> names;
  std::error_code error;
  if (!fs::is_directory(folder, error)) return names;
  fs::directory_iterator entry(folder, error);
  while (!error && entry != fs::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  if (error)
    faults.push_back({folder.string(), "a folder that cannot be read: " + error.message(), "a readable folder"});
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

void add_scan(const fs::path& folder, const std::string& session, std::vector<Scan>& scans,
              std::vector<Fault>& faults) {
  for (const std::string& name : names_in(folder / "anat", faults))
    if (!name.starts_with('.') && (name.ends_with("_T1w.nii") || name.ends_with("_T1w.nii.gz"))) {
      scans.push_back({.session = session, .path = (folder / "anat" / name).string()});
      return;
    }
}

}  // namespace

std::vector<std::string> find_people(const std::string& directory, FaultList& faults) {
  std::vector<Fault> own;
  std::vector<std::string> people = names_in(directory, own);
  std::erase_if(people, [&](const std::string& name) {
    std::error_code error;
    return !name.starts_with("sub-") || !fs::is_directory(fs::path(directory) / name, error);
  });
  for (const Fault& fault : own) faults.add(fault.where, fault.seen, fault.allowed);
  return people;
}

std::vector<Scan> find_scans(const std::string& directory, const std::string& id, std::vector<Fault>& faults) {
  const fs::path folder = fs::path(directory) / id;
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    faults.push_back({folder.string(), "no such folder", kAllowedScan});
    return {};
  }
  std::vector<Scan> scans;
  add_scan(folder, "", scans, faults);
  for (const std::string& name : names_in(folder, faults))
    if (name.starts_with("ses-")) add_scan(folder / name, name.substr(4), scans, faults);
  if (scans.empty() && faults.empty()) faults.push_back({folder.string(), "no T1-weighted scan", kAllowedScan});
  return scans;
}

}  // namespace gabra::data
