// SPDX-License-Identifier: MIT
#include "job_launcher.hpp"

#include "ranks.hpp"

#include <unistd.h>

#include <cstdlib>

namespace gabra::cli {

std::vector<std::string> launcher_words(FlagReader& flags, std::size_t ranks) {
  const auto launcher = flags.choice("--launcher", {"mpirun", "srun"});
  const std::string count = std::to_string(ranks);
  const auto hosts = flags.text("--hosts");
  const auto hostfile = flags.text("--hostfile");
  if (hosts) flags.refuse({"--hostfile"}, "together with --hosts");
  if (launcher && *launcher == 1) {
    flags.refuse({"--hosts", "--hostfile"}, "with --launcher srun, whose machines are Slurm's");
    // Without these every rank would read the search's lines, answers would wait in a buffer, and the ranks that are
    // left when one has died would wait for it.
    return {"srun", "-n", count, "--input=0", "--unbuffered", "--kill-on-bad-exit=1"};
  }
  std::vector<std::string> words{"mpirun"};
  if (::geteuid() == 0) words.emplace_back("--allow-run-as-root");
  if (!has_allocation(flags)) words.emplace_back("--oversubscribe");
  for (const char* word : {"--bind-to", "none", "-x", "OMP_NUM_THREADS"}) words.emplace_back(word);
  if (hosts) words.insert(words.end(), {"--host", *hosts});
  if (hostfile) words.insert(words.end(), {"--hostfile", *hostfile});
  words.insert(words.end(), {"-np", count});
  return words;
}

std::size_t job_size() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* size = std::getenv(name); size != nullptr && std::atoi(size) > 0)
      return static_cast<std::size_t>(std::atoi(size));
  return 1;
}

}  // namespace gabra::cli
