// SPDX-License-Identifier: MIT
#pragma once

#include "gabra/exec/mpi_world.hpp"

#include <string>
#include <thread>
#include <vector>

namespace gabra::exec {

/// A thread beside one rank that ends the run (status 3) when another rank of the same machine dies and nothing else
/// ends the run within seconds. mpirun does; srun without --kill-on-bad-exit leaves the others waiting for ever. A
/// machine without a second rank has nobody who looks.
class PeerWatch {
 public:
  /// Collective over `world`; `name`: "rank 1".
  PeerWatch(const MpiWorld& world, std::string name);
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;
  /// Before MPI ends, which holds every rank until all have come there: a rank that has ended is missed no longer.
  ~PeerWatch();

 private:
  struct Peer {
    int rank = 0;
    int process = 0;
    int file = -1;  // of pidfd_open()
  };

  void run();
  [[noreturn]] void stop(const Peer& peer) const;

  std::string name_;
  std::string host_;
  std::vector<Peer> peers_;
  int end_file_ = -1;  // eventfd: the destructor's word
  std::thread thread_;
};

}  // namespace gabra::exec
