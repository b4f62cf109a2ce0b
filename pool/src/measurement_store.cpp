// SPDX-License-Identifier: MIT
#include "gabra/pool/measurement_store.hpp"

#include "gabra/json/training.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace gabra::pool {
namespace {

using json::Value;

std::string dumped(const Value& value) { return value.dump(-1, ' ', false, Value::error_handler_t::replace); }

std::string fingerprint_text(std::uint64_t fingerprint) { return fmt::format("{:016x}", fingerprint); }

Value plan_value(const Plan& plan) {
  return {{"micro_batches", plan.micro_batches},
          {"schedule", to_text(plan.schedule)},
          {"bucket_bytes", plan.bucket.value()},
          {"stages", to_text(plan.stages)}};
}

/// The machine as its job describes it, without what does not change a time.
Value machine_value(const JobGreeting& job) {
  Value ranks = Value::array();
  for (const JobRank& rank : job.ranks)
    ranks.push_back({{"host", rank.host}, {"device", rank.device}, {"cores", rank.cores}});
  return {{"hardware", job.hardware}, {"threads_per_rank", job.threads_per_rank}, {"ranks", std::move(ranks)}};
}

/// The fields of a line that decide whether a measurement is of the same thing.
Value identity(const Problem& problem, const Plan& plan, const JobGreeting& job) {
  Value value{{"network", problem.network->name()},
              {"network_fingerprint", fingerprint_text(problem.network->fingerprint())},
              {"cluster_fingerprint", fingerprint_text(problem.cluster->fingerprint())}};
  if (problem.profile != nullptr) value["profile_fingerprint"] = fingerprint_text(problem.profile->fingerprint());
  value["training"] = to_value(problem.training);
  value["machine"] = machine_value(job);
  value["plan"] = plan_value(plan);
  value["git"] = job.git;
  return value;
}

const std::vector<std::string> kIdentityFields{
    "network", "network_fingerprint", "cluster_fingerprint", "profile_fingerprint", "training", "machine", "plan",
    "git"};

/// The same for a line that was read: equal fields give equal keys.
std::string key_of(const Value& line) {
  Value key = Value::array();
  for (const std::string& field : kIdentityFields) key.push_back(line.contains(field) ? line[field] : Value());
  return dumped(key);
}

std::optional<std::pair<std::string, KeptMeasurement>> read_line(const std::string& text) {
  try {
    const Value value = Value::parse(text);
    if (value.value("schema", "") != "gabra/measurement/1") return std::nullopt;
    const MeasureReply reply = parse_measure_reply(dumped(value.at("measured")), "measurement");
    if (const auto* measured = std::get_if<MeasuredSteps>(&reply.result))
      return std::pair{key_of(value), KeptMeasurement{*measured, value.value("warm_up", std::int64_t{0})}};
  } catch (const Value::exception&) {
  } catch (const InputError&) {
  }
  return std::nullopt;
}

[[noreturn]] void throw_unwritable(const std::string& path) {
  throw_input_error("--measurements " + in_quotes(path),
                    std::string("a file that cannot be written: ") + std::strerror(errno),
                    "a file that can be written, or --no-store");
}

/// In one piece, under a lock: several searches may append.
void append(const std::string& path, const std::string& line) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) throw_unwritable(path);
  ::flock(file, LOCK_EX);
  const ::ssize_t written = ::write(file, line.data(), line.size());
  const int reason = errno;
  ::close(file);
  errno = reason;
  if (written != static_cast<::ssize_t>(line.size())) throw_unwritable(path);
}

}  // namespace

StoreLine make_store_line(const Problem& problem, const Plan& plan, const JobGreeting& job,
                          const KeptMeasurement& measurement, std::int64_t now) {
  Value line{{"schema", "gabra/measurement/1"}};
  line.update(identity(problem, plan, job));
  line["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(now)));
  line["warm_up"] = measurement.warm_up;
  line["measured"] = Value::parse(to_line(MeasureReply{.id = 0, .result = measurement.measured}));
  return {dumped(line), key_of(line)};
}

MeasurementStore::MeasurementStore(std::string path) : path_(std::move(path)) {
  std::error_code error;
  if (!std::filesystem::exists(path_, error)) return;
  std::ifstream file(path_);
  if (!file || std::filesystem::is_directory(path_, error))
    throw_input_error("--measurements " + in_quotes(path_), "a file that cannot be read", "a file of measurements");
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    if (auto found = read_line(line))
      known_[found->first].push_back(std::move(found->second));
    else
      ++unreadable_;
  }
}

std::span<const KeptMeasurement> MeasurementStore::find(const Problem& problem, const Plan& plan,
                                                        const JobGreeting& job) const {
  const auto found = known_.find(key_of(identity(problem, plan, job)));
  if (found == known_.end()) return {};
  return found->second;
}

void MeasurementStore::add(const Problem& problem, const Plan& plan, const JobGreeting& job,
                           const KeptMeasurement& measurement, std::int64_t now) {
  const StoreLine line = make_store_line(problem, plan, job, measurement, now);
  known_[line.key].push_back(measurement);
  append(path_, line.text + "\n");
}

std::optional<std::string> default_store_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/gabra/measurements.jsonl";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/gabra/measurements.jsonl";
  return std::nullopt;
}

}  // namespace gabra::pool
