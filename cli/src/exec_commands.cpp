// SPDX-License-Identifier: MIT
#include "exec_commands.hpp"

#include "calibrate_job.hpp"
#include "gabra/core/check.hpp"
#include "gabra/exec/calibrate.hpp"
#include "gabra/exec/measure_job.hpp"
#include "gabra/exec/mpi_world.hpp"
#include "gabra/exec/peer_watch.hpp"
#include "gabra/exec/predict.hpp"
#include "gabra/exec/rank_device.hpp"
#include "gabra/exec/train.hpp"
#include "gabra/exec/train_folds.hpp"
#include "ranks.hpp"
#include "train_job.hpp"
#include "version.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>

namespace gabra::cli {
namespace {

constexpr std::chrono::seconds kPatience{2};

void print_faults(const InputError& error) {
  for (const Fault& fault : error.faults()) fmt::print(stderr, "gabra: {}\n", to_text(fault));
  std::fflush(stderr);
}

/// Ends this rank after an error that all ranks have met; if the others do not come, it was this rank's alone, and
/// `say` is called after all.
template <class Say>
int leave_together(const exec::MpiWorld& world, int status, Say say) {
  if (world.rank() == 0) say();
  std::atomic<bool> is_over = false;
  std::thread patience([&] {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!is_over && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (is_over) return;
    if (world.rank() != 0) say();
    exec::MpiWorld::abort(status);
  });
  world.barrier();
  is_over = true;
  patience.join();
  return status;
}

/// Only the `gabra` that started this rank knows what that means.
int lasting_failure() { return is_started_by_gabra() ? kLastingFailure : kDeviceFailure; }

/// What LibTorch says is long; its first line is the message.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// "rank 1: a message", where the message does not begin so itself.
std::string of_rank(const std::string& name, const std::string& message) {
  return message.starts_with(name + ":") || message.starts_with(name + ",") ? message : name + ": " + message;
}

/// "rank 1", as mpirun or srun numbers it before MPI does.
std::string launched_name() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* rank = std::getenv(name)) return std::string("rank ") + rank;
  return "rank 0";
}

/// As many as the launcher says it has started; 1 without one.
std::int64_t launched_tasks() {
  std::int64_t tasks = 1;
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* text = std::getenv(name)) tasks = std::max<std::int64_t>(tasks, std::atoll(text));
  return tasks;
}

/// What one rank of a job does, with the errors that end it.
template <class Work>
int run_rank(char** arguments, int signal_at_end, Seconds timeout, Work work) {
  // mpirun, which started this rank, may be killed.
  if (::getenv("OMPI_COMM_WORLD_RANK") != nullptr) ::prctl(PR_SET_PDEATHSIG, signal_at_end);
  using Waiting = exec::Monitor::Waiting;
  exec::Monitor monitor(launched_name(), timeout.value());
  // mpirun starts the ranks one by one, and each loads its libraries first: no limit of time.
  std::optional<Waiting> waiting;
  waiting.emplace(monitor, "the start of MPI on all ranks", exec::Monitor::Limit::Unlimited);
  int argument_count = 1;
  const exec::MpiWorld world(argument_count, arguments);
  waiting.reset();
  if (const std::int64_t tasks = launched_tasks(); world.size() == 1 && tasks > 1) {
    fmt::print(
        stderr, "gabra: {}\n",
        to_text(Fault{launched_name(), fmt::format("one of {} tasks that MPI has not joined into a job", tasks),
                      "tasks that are ranks of one MPI job: srun --mpi=pmix (srun --mpi=list has what there is), "
                      "or mpirun of the Open MPI that gabra was built with"}));
    return kBadInput;
  }
  const std::string name = fmt::format("rank {}", world.rank());
  monitor.set_name(name);
  int status = kDone;
  try {
    waiting.emplace(monitor, "the process numbers of all ranks");
    const exec::PeerWatch watch(world, name);
    waiting.reset();
    work(world, monitor);
    std::fflush(stdout);
  } catch (const InputError& error) {
    status = leave_together(world, kBadInput, [&] { print_faults(error); });
  } catch (const exec::TrainingError& error) {
    status = leave_together(world, lasting_failure(), [&] { fmt::print(stderr, "gabra: {}\n", error.what()); });
  } catch (const exec::DeviceMemoryError& error) {
    fmt::print(stderr, "gabra-exec: {}\n", of_rank(name, error.what()));
    exec::MpiWorld::abort(lasting_failure());
  } catch (const exec::DeviceError& error) {
    fmt::print(stderr, "gabra-exec: {}\n", of_rank(name, error.what()));
    exec::MpiWorld::abort(kDeviceFailure);
  } catch (const Error& error) {  // a full disk
    fmt::print(stderr, "gabra-exec: {}\n", of_rank(name, error.what()));
    exec::MpiWorld::abort(lasting_failure());
  } catch (const std::exception& error) {  // LibTorch's, and a lack of memory
    fmt::print(stderr, "gabra-exec: {}\n", of_rank(name, first_line(error.what())));
    exec::MpiWorld::abort(lasting_failure());
  }
  waiting.emplace(monitor, "the end of MPI on all ranks", exec::Monitor::Limit::Unlimited);
  return status;
}

int run_train_rank(const FlagSet& flags, char** arguments) {
  const exec::TrainJob job = read_train_job(flags);
  if (const auto reason = infeasible_reason(job)) {
    if (is_first_rank()) fmt::print(stderr, "gabra: {}\n", *reason);
    return kNoFeasiblePlan;
  }
  return run_rank(arguments, SIGTERM, job.timeout, [&](const exec::MpiWorld& world, exec::Monitor& monitor) {
    exec::check_hardware(job.hardware, world);
    const bool trains_all = job.samples.data && job.samples.data->trains_all_folds;
    const std::string text = trains_all ? exec::train_folds(job, world, monitor) : exec::train(job, world, monitor);
    if (!text.empty()) print_to_stdout(text);
  });
}

int run_measure_rank(const FlagSet& flags, char** arguments) {
  const MeasureRanks ranks = read_measure_ranks(flags);
  exec::MeasureJob job;
  job.devices = {ranks.hardware, ranks.threads_per_rank};
  job.version = version();
  job.git = git_id();
  // Not SIGTERM: a rank that does not answer does not hear it either.
  return run_rank(arguments, SIGKILL, ranks.timeout, [&](const exec::MpiWorld& world, exec::Monitor& monitor) {
    exec::serve_measurements(job, world, monitor, stdin, stdout);
  });
}

int run_calibrate_rank(const FlagSet& flags, char** arguments) {
  const exec::CalibrateJob job = read_calibrate_job(flags);
  return run_rank(arguments, SIGTERM, job.timeout, [&](const exec::MpiWorld& world, exec::Monitor& monitor) {
    const std::string text = exec::calibrate(job, world, monitor);
    if (!text.empty()) print_to_stdout(text);
  });
}

/// predict, explain: one process, without MPI.
template <class Work>
int run_alone(Work work) {
  exec::unblock_stop_signals();
  try {
    print_to_stdout(work());
    return kDone;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(first_line(error.what()));
  }
}

}  // namespace

int run_exec_command(ExecCommand command, const FlagSet& flags, char** arguments) {
  switch (command) {
    case ExecCommand::Train:
      return run_train_rank(flags, arguments);
    case ExecCommand::Calibrate:
      return run_calibrate_rank(flags, arguments);
    case ExecCommand::Predict:
      return run_alone([&] { return exec::predict(read_predict_job(flags)); });
    case ExecCommand::Explain:
      return run_alone([&] { return exec::explain(read_explain_job(flags)); });
    case ExecCommand::Measure:
      return run_measure_rank(flags, arguments);
  }
  GABRA_CHECK(false, "an unknown command");
  return kBadInput;
}

}  // namespace gabra::cli
