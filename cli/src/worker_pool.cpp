// SPDX-License-Identifier: MIT
#include "worker_pool.hpp"

#include "application.hpp"
#include "beside.hpp"
#include "gabra/pool/messages.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <utility>

namespace gabra::cli {
namespace {

constexpr std::int64_t kMostJobs = 1024;
// Ray takes seconds to connect and to start its first workers.
constexpr Seconds kBridgeStart{180.0};

/// "HOST:PORT" with a port, or "ray://HOST:PORT".
bool is_address(std::string_view text) {
  if (text.starts_with("ray://")) text.remove_prefix(6);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) return false;
  const std::string_view port = text.substr(colon + 1);
  return port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos &&
         text.find_first_of(" /") == std::string_view::npos;
}

void print_line(const std::string& line) { fmt::print(stderr, "gabra: {}\n", line); }

pool::PoolOptions bridge_options(const PoolRequest& request) {
  pool::PoolOptions options;
  options.command.words = {
      "python3",  program_beside("gabra_ray_bridge.py"), "--address",    *request.ray,
      "--worker", program_beside("gabra-sim"),           "--plan-limit", fmt::format("{}", request.plan_limit.value())};
  if (request.jobs)
    options.command.words.insert(options.command.words.end(), {"--jobs", fmt::format("{}", *request.jobs)});
  options.is_bridge = true;
  options.name = "the bridge to Ray";
  options.start_limit = kBridgeStart;
  return options;
}

pool::PoolOptions worker_options(const PoolRequest& request) {
  pool::PoolOptions options;
  options.command.words = {program_beside("gabra-sim"), "worker"};
  options.command.signal_at_parent_death = SIGKILL;  // it has nothing to put in order, and may be stopped
  options.processes = *request.jobs;
  return options;
}

}  // namespace

PoolRequest read_pool_request(FlagReader& flags) {
  PoolRequest request;
  request.jobs = flags.integer("--jobs", {1, kMostJobs});
  request.ray = flags.text("--ray");
  if (request.ray && *request.ray != "auto" && !is_address(*request.ray))
    flags.faults().add("--ray", in_quotes(*request.ray), "\"auto\" or HOST:PORT, for example 10.0.0.1:6379");
  request.plan_limit = flags.seconds("--plan-timeout").value_or(request.plan_limit);
  request.is_quiet = flags.is_on("--quiet");
  return request;
}

std::unique_ptr<pool::PoolEvaluator> make_pool(const PoolRequest& request, const Problem& problem) {
  if (!request.jobs && !request.ray) return nullptr;
  pool::PoolOptions options = request.ray ? bridge_options(request) : worker_options(request);
  options.build = pool::build_of_this_program(program_version());
  options.plan_limit = request.plan_limit;
  if (!request.is_quiet) options.log = &print_line;
  options.warn = &print_line;  // a plan that is left out may be the best one
  return std::make_unique<pool::PoolEvaluator>(problem, std::move(options));
}

}  // namespace gabra::cli
