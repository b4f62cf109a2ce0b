// SPDX-License-Identifier: MIT
#include "gabra/data/cohort.hpp"

#include "data/expect.hpp"
#include "data/nifti_file.hpp"
#include "gabra/data/cache.hpp"
#include "gabra/data/participants.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace gabra::data {
namespace {

/// A BIDS-like folder that tests fill.
class Bids {
 public:
  void add(const std::string& relative, const std::string& bytes = good_scan()) {
    const std::filesystem::path path = std::filesystem::path(folder_.path()) / relative;
    std::filesystem::create_directories(path.parent_path());
    write_bytes(path.string(), bytes);
  }
  void add_person(const std::string& id) { add(id + "/anat/" + id + "_T1w.nii.gz"); }
  void table(const std::string& text) { write_bytes(folder_ / "participants.tsv", text); }
  [[nodiscard]] const std::string& path() const { return folder_.path(); }
  static std::string good_scan() {
    static const std::string kBytes = gzipped(to_bytes({.values = counting(210)}));
    return kBytes;
  }

 private:
  TemporaryFolder folder_;
};

/// All faults of reading a cohort, "where: saw ...", one a line, without the folder's name; "" if there are none.
std::string faults_of(const Bids& bids, CohortOptions options = {}, const VolumeCache* cache = nullptr) {
  options.directory = bids.path();
  try {
    (void)read_cohort(options, cache);
    return "";
  } catch (const InputError& error) {
    std::string text;
    for (const Fault& fault : error.faults()) text += to_text(fault) + "\n";
    for (std::size_t at = text.find(bids.path()); at != std::string::npos; at = text.find(bids.path()))
      text.erase(at, bids.path().size());
    return text;
  }
}

TEST(Participants, AnyOrderOfColumns) {
  FaultList faults;
  const ParticipantTable table = parse_participants(
      "\xef\xbb\xbfSex\tmmse\tGroup\tparticipant_id\tage\r\nF\t29\tCN\tsub-01\t71.5\r\n\r\nn/a\tn/a\tAD\tsub-B2\tn/"
      "a\r\nM\t20\tAD\tsub-3\t89+",
      "p.tsv", faults);
  EXPECT_TRUE(faults.empty());
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[0].id, "sub-01");
  EXPECT_EQ(table.rows[0].group, "CN");
  EXPECT_EQ(table.rows[0].age, 71.5);
  EXPECT_EQ(table.rows[0].sex, "F");
  EXPECT_EQ(table.rows[0].cells[1], "29");
  EXPECT_EQ(table.rows[1].line, 4U);
  EXPECT_FALSE(table.rows[1].age.has_value());
  EXPECT_EQ(table.rows[1].sex, "");
  EXPECT_EQ(table.rows[2].age, 89.0);
  for (const Participant& row : table.rows) EXPECT_TRUE(row.faults.empty());
}

TEST(Participants, FaultsOfTheTable) {
  for (const char* text : {"", "\n\n", "participant_id\tage\nsub-1\t3\n", "id\tgroup\nsub-1\tAD\n",
                           "participant_id\tgroup\n", "participant_id\tgroup\tGROUP\nsub-1\tAD\tNC\n"}) {
    FaultList faults;
    (void)parse_participants(text, "p.tsv", faults);
    EXPECT_EQ(faults.size(), 1U) << text;
  }
}

TEST(Participants, FaultsOfRows) {
  FaultList faults;
  const ParticipantTable table = parse_participants(
      "participant_id\tgroup\tage\nsub-1\tAD\nsub-2\tAD\t70\t1\n../"
      "x\tAD\t70\nsub-4\t\t70\nsub-5\tAD\told\nsub-6\tAD\t-3\nsub-6\tNC\t60\n",
      "p.tsv", faults);
  EXPECT_TRUE(faults.empty());
  ASSERT_EQ(table.rows.size(), 7U);
  for (const Participant& row : table.rows) EXPECT_EQ(row.faults.size(), 1U) << row.line;
  EXPECT_EQ(table.rows[2].id, "");
  EXPECT_EQ(table.rows[4].faults[0].where, "p.tsv:6");
  EXPECT_EQ(table.rows[6].faults[0].seen, "duplicate id sub-6, first in line 7");
  EXPECT_TRUE(table.rows[5].is_repeated);
}

TEST(Cohort, GroupsBecomeLabels) {
  Bids bids;
  bids.table(
      "participant_id\tgroup\tage\tsex\tsite\nsub-2\tCN\t70\tF\tA\nsub-1\tad\t71\tM\tB\nsub-3\tHealthy "
      "control\t72\tM\tA\n"
      "sub-4\tMCI\t73\tF\tA\nsub-5\tpMCI\tn/a\tF\tA\nsub-6\tn/a\t70\tF\tA\nsub-7\tEMCI\t70\tF\tA\n");
  for (const char* id : {"sub-1", "sub-2", "sub-3"}) bids.add_person(id);
  const Cohort cohort = read_cohort({.directory = bids.path()});
  EXPECT_EQ(cohort.task.classes, (std::vector<std::string>{"NC", "AD"}));
  ASSERT_EQ(cohort.subjects.size(), 3U);
  EXPECT_EQ(cohort.subjects[0].id, "sub-1");  // ordered by id
  EXPECT_EQ(cohort.subjects[0].label, 1);
  EXPECT_EQ(cohort.subjects[0].columns.at("site"), "B");
  EXPECT_EQ(cohort.subjects[1].label, 0);
  EXPECT_EQ(cohort.subjects[2].label, 0);
  EXPECT_EQ(cohort.other_groups, (std::map<std::string, std::int64_t>{{"MCI", 2}, {"n/a", 1}, {"pMCI", 1}}));
}

TEST(Cohort, ConvertersAndOtherClasses) {
  Bids bids;
  bids.table("participant_id\tdiagnosis\nsub-1\tsMCI\nsub-2\tpmci\nsub-3\tFTD\nsub-4\tMCI-NC\nsub-5\tCN\n");
  for (const char* id : {"sub-1", "sub-2", "sub-3", "sub-4", "sub-5"}) bids.add_person(id);
  expect_contains(faults_of(bids, {.task = "smci-pmci"}), "unknown group \"FTD\"");
  const Cohort three = read_cohort({.directory = bids.path(), .classes = {"NC", "ftd", "sMCI"}});
  ASSERT_EQ(three.subjects.size(), 4U);
  EXPECT_EQ(three.subjects[0].label, 2);
  EXPECT_EQ(three.subjects[1].label, 1);
  EXPECT_EQ(three.subjects[2].label, 2);  // MCI-NC is another name of sMCI
  EXPECT_EQ(three.subjects[3].label, 0);
  EXPECT_EQ(three.other_groups.at("pMCI"), 1);
  expect_contains(faults_of(bids, {.task = "ad_nc"}), "did you mean \"ad-nc\"?");
  expect_contains(faults_of(bids, {.classes = {"A", "a"}}), "\"a\" twice");
  expect_contains(faults_of(bids, {.classes = {"A"}}), "1 class");
}

TEST(Cohort, Sessions) {
  Bids bids;
  bids.table("participant_id\tgroup\nsub-1\tAD\nsub-2\tNC\nsub-3\tNC\n");
  for (const char* path :
       {"sub-1/ses-M12/anat/sub-1_ses-M12_T1w.nii.gz", "sub-1/ses-M6/anat/sub-1_ses-M6_run-10_T1w.nii.gz",
        "sub-1/ses-M6/anat/sub-1_ses-M6_run-2_T1w.nii.gz", "sub-1/ses-M6/anat/sub-1_ses-M6_T2w.nii.gz",
        "sub-2/ses-M06/anat/sub-2_T1w.nii.gz", "sub-2/ses-M12/anat/sub-2_T1w.nii.gz", "sub-3/anat/sub-3_T1w.nii.gz"})
    bids.add(path);
  const Cohort first = read_cohort({.directory = bids.path()});
  ASSERT_EQ(first.subjects[0].scans.size(), 1U);
  EXPECT_EQ(first.subjects[0].scans[0].session, "M6");
  EXPECT_EQ(first.subjects[0].scans[0].path, bids.path() + "/sub-1/ses-M6/anat/sub-1_ses-M6_run-2_T1w.nii.gz");
  const Cohort all = read_cohort({.directory = bids.path(), .sessions = "all"});
  EXPECT_EQ(samples_of(all).size(), 5U);
  EXPECT_EQ(all.subjects[0].scans[1].session, "M12");
  for (const char* name : {"M12", "ses-M12"}) {
    const Cohort later = read_cohort({.directory = bids.path(), .sessions = name});
    EXPECT_EQ(later.subjects.size(), 2U);
    EXPECT_EQ(later.without_session, std::vector<std::string>{"sub-3"});
  }
  const std::string unknown = faults_of(bids, {.sessions = "M24"});
  expect_contains(unknown, "--sessions: saw \"M24\"; allowed: first, all, or one of M06, M12, M6");
  EXPECT_EQ(std::count(unknown.begin(), unknown.end(), '\n'), 1) << unknown;  // not that classes are empty
}

TEST(Cohort, AllFaultsAtOnce) {
  Bids bids;
  bids.table(
      "participant_id\tgroup\tage\nsub-1\tAD\t70\nsub-2\tAD\t70\nsub-3\tAD\t70\nsub-4\tXX\t70\nsub-5\tAD\t70\nsub-"
      "5\tAD\t70\n"
      "sub-6\tAD\tyoung\nsub-7\tAD\t70\nsub-8\tAD\n");
  bids.add_person("sub-1");
  bids.add("sub-3/anat/notes.txt", "");
  for (const char* id : {"sub-4", "sub-5", "sub-6"}) bids.add_person(id);
  bids.add("sub-7/anat/sub-7_T1w.nii.gz", gzipped(to_bytes({.dim = {2, 14, 15}, .values = counting(210)})));
  const std::string text = faults_of(bids);
  expect_contains(text, "/sub-2: saw no such folder");
  expect_contains(text, "/sub-3: saw no T1-weighted scan");
  expect_contains(text, "/participants.tsv:5: saw unknown group \"XX\"");
  expect_contains(text, "/participants.tsv:7: saw duplicate id sub-5, first in line 6");
  expect_contains(text, "/participants.tsv:8: saw age \"young\"");
  expect_contains(text, "/sub-7/anat/sub-7_T1w.nii.gz: saw wrong dimensions: 14x15");
  expect_contains(text, "/participants.tsv:10: saw 2 cells");
  expect_contains(text, "an empty class: no usable subject of group \"NC\"");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 8) << text;
}

TEST(Cohort, FaultsOfVoxelsWithACache) {
  Bids bids;
  bids.table("participant_id\tgroup\nsub-1\tAD\nsub-2\tNC\nsub-3\tNC\n");
  bids.add_person("sub-1");
  const std::string whole = Bids::good_scan();
  bids.add("sub-2/anat/sub-2_T1w.nii.gz", whole.substr(0, whole.size() - 20));
  bids.add("sub-3/anat/sub-3_T1w.nii.gz", gzipped(to_bytes({.values = std::vector<double>(210, 1.0)})));
  const TemporaryFolder folder;
  const VolumeCache cache(folder / "cache", {.extent = {8, 8, 8}});
  const std::string text = faults_of(bids, {}, &cache);
  expect_contains(text, "sub-2_T1w.nii.gz: saw truncated gzip data");
  expect_contains(text, "sub-3_T1w.nii.gz: saw all voxels equal to 1");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

TEST(Cohort, SkipsBad) {
  Bids bids;
  bids.table("participant_id\tgroup\nsub-1\tAD\nsub-2\tNC\nsub-3\tNC\nsub-4\t??\nsub-5\tAD\nsub-5\tNC\nbad id\tNC\n");
  for (const char* id : {"sub-1", "sub-2", "sub-4", "sub-5"}) bids.add_person(id);
  const Cohort cohort = read_cohort({.directory = bids.path(), .skips_bad = true});
  ASSERT_EQ(cohort.subjects.size(), 2U);
  ASSERT_EQ(cohort.bad.size(), 5U);
  EXPECT_EQ(cohort.bad[0].id, "sub-3");
  expect_contains(cohort.bad[0].reason, "no such folder");
  EXPECT_EQ(cohort.bad[1].id, "sub-4");
  EXPECT_EQ(cohort.bad[2].id, "sub-5");
  EXPECT_EQ(cohort.bad[3].id, "sub-5");
  EXPECT_EQ(cohort.bad[4].id, "line 8");
  // A class that this empties is a fault all the same.
  std::filesystem::remove_all(bids.path() + "/sub-2");
  const std::string empty = faults_of(bids, {.skips_bad = true});
  expect_contains(empty, "an empty class");
  // Why it is empty.
  expect_contains(empty, "/sub-2: saw no such folder");
}

TEST(Cohort, EverybodyForPrediction) {
  Bids bids;
  bids.table("participant_id\tgroup\nsub-1\tAD\nsub-2\tFTD\nsub-3\tn/a\nsub-4\t\nsub-5\tMCI\n");
  for (const char* id : {"sub-1", "sub-2", "sub-3", "sub-4", "sub-5"}) bids.add_person(id);
  const CohortOptions options{.directory = bids.path(), .takes_everybody = true};
  const auto labels = [&] {
    std::vector<std::int64_t> all;
    for (const Sample& sample : samples_of(read_cohort(options))) all.push_back(sample.label);
    return all;
  };
  EXPECT_EQ(labels(), (std::vector<std::int64_t>{1, -1, -1, -1, -1}));
  bids.table("participant_id\tage\nsub-2\t70\n");
  EXPECT_EQ(labels(), std::vector<std::int64_t>{-1});
  std::filesystem::remove(bids.path() + "/participants.tsv");
  EXPECT_EQ(labels(), std::vector<std::int64_t>(5, -1));
  bids.add("sub-6/anat/sub-6_T1w.nii", "text");
  expect_contains(faults_of(bids, options), "/sub-6/anat/sub-6_T1w.nii: saw a file that is not NIfTI");
  std::filesystem::remove_all(bids.path());
  std::filesystem::create_directory(bids.path());
  EXPECT_THROW((void)read_cohort(options), InputError);
}

TEST(Cohort, NoFolderNoTable) {
  EXPECT_THROW((void)read_cohort({.directory = "/nowhere"}), InputError);
  const Bids bids;
  expect_contains(faults_of(bids), "/participants.tsv: saw no such file");
}

TEST(Cohort, ToyCohort) {
  const TemporaryFolder folder;
  write_toy_cohort(folder.path(), {"NC", "AD"}, 3, 8, 1);
  const Cohort cohort = read_cohort({.directory = folder.path()});
  EXPECT_EQ(cohort.subjects.size(), 6U);
}

}  // namespace
}  // namespace gabra::data
