// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace gabra::test {

/// What a run of the real program gave.
struct Outcome {
  int status = -1;  ///< exit status; 128 + signal when killed
  std::string out;
  std::string err;
};

/// Runs `gabra ARGUMENTS` in `folder`. Ends it after 60 s.
[[nodiscard]] Outcome run_gabra(const std::vector<std::string>& arguments, const std::string& folder);

/// Splits at spaces; text between single quotes stays together: "simulate --stages '0-1@0 2@1'".
[[nodiscard]] std::vector<std::string> split_words(const std::string& line);

/// An empty folder of its own for one test, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::string path_;
};

void write_text(const std::string& path, const std::string& text);
[[nodiscard]] std::string read_text(const std::string& path);

}  // namespace gabra::test
