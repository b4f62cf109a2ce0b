// SPDX-License-Identifier: MIT
#include "gabra/pool/messages.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <cstring>
#include <string>

namespace gabra::pool {
namespace {

constexpr std::size_t kAligned = 4;
constexpr std::size_t align(std::size_t size) { return (size + kAligned - 1) / kAligned * kAligned; }

/// Digits of the linker's build id among the notes at `at`.
std::string find_build_id(const char* at, std::size_t size) {
  std::string digits;
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const std::size_t name = sizeof note;
    const std::size_t description = name + align(note.n_namesz);
    const std::size_t end = description + align(note.n_descsz);
    if (end > size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(at + name, "GNU", 4) == 0)
      for (std::size_t i = 0; i < note.n_descsz; ++i)
        digits += fmt::format("{:02x}", static_cast<unsigned char>(at[description + i]));
    at += end;
    size -= end;
  }
  return digits;
}

/// The first object is the program itself.
int visit_first(dl_phdr_info* info, std::size_t, void* result) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader gives addresses as numbers
    const char* notes = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    const std::string digits = find_build_id(notes, segment.p_memsz);
    if (!digits.empty()) *static_cast<std::string*>(result) = digits;
  }
  return 1;
}

}  // namespace

std::string build_of_this_program(std::string_view version) {
  std::string digits;
  ::dl_iterate_phdr(&visit_first, &digits);
  return digits.empty() ? std::string(version) : fmt::format("{} {}", version, digits.substr(0, 12));
}

}  // namespace gabra::pool
