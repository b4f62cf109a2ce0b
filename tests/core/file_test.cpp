// SPDX-License-Identifier: MIT
#include "gabra/core/file.hpp"

#include "gabra/core/error.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace gabra {
namespace {

/// A folder of its own for each test, removed afterwards.
class File : public ::testing::Test {
 protected:
  File() {
    std::string pattern = ::testing::TempDir() + "gabra_file_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~File() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] std::size_t entry_count() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::string folder_;
};

/// The single fault that `action` throws.
Fault fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.faults().at(0);
  }
  return {};
}
Fault fault_of_reading(const std::string& path) {
  return fault_of([&] { static_cast<void>(read_file(path)); });
}

TEST_F(File, ReadsWhatWasWritten) {
  const std::string contents("a\0b\n\r\xff", 6);
  write_file_atomically(path("x"), contents);
  EXPECT_EQ(read_file(path("x")), contents);
  write_file_atomically(path("x"), "");
  EXPECT_EQ(read_file(path("x")), "");
  EXPECT_EQ(entry_count(), 1U);
}

TEST_F(File, MissingAndDirectoryAreNamed) {
  EXPECT_EQ(fault_of_reading(path("none")).seen, "no such file");
  EXPECT_EQ(fault_of_reading(path("none")).where, path("none"));
  EXPECT_EQ(fault_of_reading(folder_).seen, "a directory");
  EXPECT_EQ(fault_of_reading("").seen, "no such file");
}

TEST_F(File, ANameTooLongIsAFault) {
  const std::string name = path(std::string(5000, 'x'));
  EXPECT_NE(fault_of_reading(name).seen.find("too long"), std::string::npos);
  EXPECT_NE(fault_of([&] { write_file_atomically(name, "x"); }).seen.find("too long"), std::string::npos);
}

TEST_F(File, AFileOfSixtyFourMebibytesIsReadAndALargerOneRefusedUnread) {
  // Sparse files: the larger one claims a tebibyte, so reading it would not end in time.
  std::ofstream(path("limit")).put('x');
  std::filesystem::resize_file(path("limit"), static_cast<std::uintmax_t>(kMostFileBytes));
  EXPECT_EQ(read_file(path("limit")).size(), static_cast<std::size_t>(kMostFileBytes));
  std::ofstream(path("huge")).put('x');
  std::filesystem::resize_file(path("huge"), std::uintmax_t{1} << 40U);
  EXPECT_EQ(fault_of_reading(path("huge")).seen, "a file of 1099511627776 bytes");
}

TEST_F(File, AnEndlessDeviceIsRefused) { EXPECT_EQ(fault_of_reading("/dev/zero").seen, "more than 64 MiB"); }

TEST_F(File, AnUnreadableFileIsAFault) {
  write_file_atomically(path("secret"), "x");
  ::chmod(path("secret").c_str(), 0);
  ::chmod(folder_.c_str(), 0755);
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;  // root reads every file, so it becomes somebody else for a moment
  if (is_root) {
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  const Fault fault = fault_of_reading(path("secret"));
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(fault.seen, "a file that cannot be read: Permission denied");
}

TEST_F(File, AReadThatFailsIsAFaultAndNotAShortFile) {
  // The first page of a process is never mapped: reading its memory from the start fails.
  EXPECT_NE(fault_of_reading("/proc/self/mem").seen.find("cannot be read"), std::string::npos);
}

TEST_F(File, AFailedWriteLeavesTheOldFileAndNothingElse) {
  write_file_atomically(path("x"), "old");
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Fault fault = fault_of([&] { write_file_atomically(path("x"), std::string(100'000, 'n')); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(fault.where, path("x"));
  EXPECT_NE(fault.seen.find("too large"), std::string::npos);
  EXPECT_EQ(read_file(path("x")), "old");
  EXPECT_EQ(entry_count(), 1U);
}

TEST_F(File, WritingToADirectoryOrIntoNoneIsAFault) {
  EXPECT_EQ(fault_of([&] { write_file_atomically(folder_, "x"); }).seen, "a directory");
  EXPECT_EQ(fault_of([&] { write_file_atomically(path("none/x"), "x"); }).where, path("none/x"));
  EXPECT_EQ(entry_count(), 0U);
}

TEST_F(File, DevicesAreWrittenInPlace) {
  EXPECT_NO_THROW(write_file_atomically("/dev/null", "x"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(fault_of([] { write_file_atomically("/dev/full", "x"); }).where, "/dev/full");
}

TEST_F(File, ALinkStaysALinkAndItsTargetIsWritten) {
  write_file_atomically(path("target"), "old");
  std::filesystem::create_symlink("target", path("link"));
  write_file_atomically(path("link"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("target")), "new");
  EXPECT_EQ(entry_count(), 2U);
}

}  // namespace
}  // namespace gabra
