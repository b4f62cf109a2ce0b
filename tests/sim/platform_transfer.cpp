// SPDX-License-Identifier: MIT
// Loads a platform file with SimGrid alone and prints the seconds of one transfer: FILE FROM TO BYTES.
#include <simgrid/s4u.hpp>

#include <cstdio>
#include <string>

int main(int count, char** arguments) {
  namespace s4u = simgrid::s4u;
  if (count != 5) return 2;
  std::string name = "platform_transfer";
  std::string quiet = "--log=root.thres:critical";
  char* words[] = {name.data(), quiet.data(), nullptr};
  int words_count = 2;
  s4u::Engine engine(&words_count, words);
  engine.load_platform(arguments[1]);
  const s4u::CommPtr comm =
      s4u::Comm::sendto_init(engine.host_by_name(arguments[2]), engine.host_by_name(arguments[3]));
  comm->set_payload_size(std::stoull(arguments[4]));
  comm->start();
  engine.run();
  std::printf("%.17g\n", s4u::Engine::get_clock());
  return 0;
}
