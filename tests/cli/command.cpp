// SPDX-License-Identifier: MIT
#include "command.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace gabra::test {
namespace {

constexpr unsigned kMostSeconds = 60;

/// In the child; does not return.
[[noreturn]] void become(const std::vector<std::string>& arguments, const std::string& folder, const std::string& out,
                         const std::string& err) {
  std::vector<char*> pointers;
  std::string program = GABRA_COMMAND;
  pointers.push_back(program.data());
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const int out_file = ::open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const int err_file = ::open(err.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
  const int in_file = ::open("/dev/null", O_RDONLY);
  ::dup2(in_file, STDIN_FILENO);
  ::dup2(out_file, STDOUT_FILENO);
  ::dup2(err_file, STDERR_FILENO);
  if (::chdir(folder.c_str()) != 0) ::_exit(126);
  ::alarm(kMostSeconds);
  ::execv(program.c_str(), pointers.data());
  ::_exit(127);
}

}  // namespace

Outcome run_gabra(const std::vector<std::string>& arguments, const std::string& folder) {
  const TemporaryFolder streams;
  const std::string out = streams.file("out");
  const std::string err = streams.file("err");
  const pid_t child = ::fork();
  if (child == 0) become(arguments, folder, out, err);
  int status = 0;
  ::waitpid(child, &status, 0);
  Outcome run;
  run.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  run.out = read_text(out);
  run.err = read_text(err);
  return run;
}

std::vector<std::string> split_words(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool in_quotes = false;
  bool has_word = false;
  for (const char c : line) {
    if (c == '\'') {
      in_quotes = !in_quotes;
      has_word = true;
    } else if (c == ' ' && !in_quotes) {
      if (has_word) words.push_back(word);
      word.clear();
      has_word = false;
    } else {
      word += c;
      has_word = true;
    }
  }
  if (has_word) words.push_back(word);
  return words;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "gabra-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream stream(path, std::ios::binary);
  stream << text;
}

std::string read_text(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

}  // namespace gabra::test
