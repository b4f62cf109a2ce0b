// SPDX-License-Identifier: MIT
#include "gabra/core/rng.hpp"
#include "gabra/data/volume.hpp"
#include "support/training_case.hpp"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

namespace gabra::test {
namespace {

using nlohmann::json;

constexpr std::int64_t kEdge = 20;

/// A ball in noise; AD has a dark hole at its right, which a small network learns within a few epochs.
data::Volume make_head(std::uint64_t number, bool has_hole) {
  Rng rng(number);
  data::Volume volume{{kEdge, kEdge, kEdge}, data::identity_affine(), {}};
  const auto distance = [](std::int64_t i, std::int64_t j, std::int64_t k, double ci) {
    return std::hypot(static_cast<double>(i) - ci, static_cast<double>(j) - 9.5, static_cast<double>(k) - 9.5);
  };
  for (std::int64_t i = 0; i < kEdge; ++i)
    for (std::int64_t j = 0; j < kEdge; ++j)
      for (std::int64_t k = 0; k < kEdge; ++k) {
        double value = distance(i, j, k, 9.5) < 9.0 ? 100.0 + 5.0 * rng.normal() : 0.0;
        if (has_hole && distance(i, j, k, 13.0) < 4.0) value = 10.0 + rng.normal();
        volume.voxels.push_back(static_cast<float>(value));
      }
  return volume;
}

class TrainData : public TrainingCase {
 protected:
  /// `people` of AD and NC each, with a scan in every one of `visits`.
  void make_data(int people, const std::vector<std::string>& visits = {""}) {
    std::string table = "participant_id\tgroup\tage\tsex\n";
    for (int i = 0; i < 2 * people; ++i) {
      const bool is_patient = i % 2 == 0;
      const std::string id = "sub-" + std::to_string(100 + i);
      table += id + (is_patient ? "\tAD\t70\tF\n" : "\tNC\t71\tM\n");
      for (const std::string& visit : visits) {
        const std::string folder = folder_.file("data/" + id + visit + "/anat");
        std::filesystem::create_directories(folder);
        data::write_nifti(folder + "/" + id + "_T1w.nii.gz", make_head(static_cast<std::uint64_t>(i), is_patient));
      }
    }
    write_text(folder_.file("data/participants.tsv"), table);
  }
  void add_person(const std::string& id, const std::string& group) {
    write_text(folder_.file("data/participants.tsv"),
               read_text(folder_.file("data/participants.tsv")) + id + "\t" + group + "\t70\tF\n");
  }
};

TEST_F(TrainData, LearnsPredictsAndExplains) {
  make_data(20);
  const std::string network = "3d-resattnet-18:width=8,input=1x32x32x32";
  make_plan("plan", "0-5@0 6-12@1", "", network, 2);
  make_plan("serial", "0-12@0", "", network, 2);
  const std::string line = " --data data --task ad-nc --epochs 14 --learning-rate 0.003 --schedule cosine --seed 1 ";
  const json result = run_json("train --plan plan.json" + line + "--checkpoint-dir ckpt");
  const auto epochs = read_log("ckpt/log.jsonl", "epoch");
  ASSERT_EQ(epochs.size(), 14U);
  EXPECT_LT(epochs.back().at("train_loss"), epochs.front().at("train_loss"));
  EXPECT_EQ(result.at("test").at("auc"), epochs.back().at("test").at("auc"));
  EXPECT_GE(result.at("test").at("accuracy").get<double>(), 0.75);
  const std::string best = result.at("best");
  EXPECT_TRUE(std::filesystem::exists(folder_.file(best))) << best;
  // One rank gives the same.
  const json serial = run_json("train --plan serial.json" + line + "--log serial.jsonl");
  EXPECT_NEAR(serial.at("final_loss").get<double>(), result.at("final_loss").get<double>(), 1e-4);
  EXPECT_EQ(serial.at("test").at("accuracy"), result.at("test").at("accuracy"));

  const json predicted = run_json("predict --checkpoint ckpt --data data -o table.tsv");
  EXPECT_EQ(predicted.at("predictions").size(), 40U);
  EXPECT_EQ(predicted.at("classes"), (json{"NC", "AD"}));
  EXPECT_EQ(predicted.at("measures").at("samples"), 40);
  EXPECT_EQ(predicted.at("measures_by_part").at("test").at("samples"), result.at("test").at("samples"));
  const std::string table = read_text(folder_.file("table.tsv"));
  EXPECT_TRUE(table.starts_with("participant_id\tsession\tvolume\tpart\tgroup\tpredicted\tp_NC\tp_AD\n")) << table;
  const std::string scan = "data/sub-100/anat/sub-100_T1w.nii.gz";
  const json single = run_json("predict --checkpoint " + best + " --volume " + scan);
  double of_cohort = -1.0;
  for (const json& row : predicted.at("predictions"))
    if (row.at("participant_id") == "sub-100") of_cohort = row.at("probabilities").at("AD").get<double>();
  EXPECT_NEAR(single.at("predictions")[0].at("probabilities").at("AD").get<double>(), of_cohort, 1e-6);

  // Somebody of no known group is predicted, and does not count.
  std::string people = read_text(folder_.file("data/participants.tsv"));
  people.replace(people.find("\tAD\t"), 4, "\tn/a\t");
  write_text(folder_.file("data/participants.tsv"), people);
  const json everybody = run_json("predict --checkpoint ckpt --data data");
  EXPECT_EQ(everybody.at("predictions").size(), 40U);
  EXPECT_TRUE(everybody.at("predictions")[0].at("group").is_null());
  EXPECT_EQ(everybody.at("measures").at("samples"), 39);

  const json explained =
      run_json("explain --checkpoint ckpt --volume " + scan + " -o heat.nii.gz --png heat.png --class ad");
  EXPECT_EQ(explained.at("class"), "AD");
  const data::VolumeHeader heat = data::read_nifti_header(folder_.file("heat.nii.gz"));
  EXPECT_EQ(heat.extent, (data::Extent{kEdge, kEdge, kEdge}));
  EXPECT_TRUE(read_text(folder_.file("heat.png")).starts_with("\x89PNG\r\n\x1a\n"));
  (void)run("explain --checkpoint ckpt --volume " + scan + " --png heat.png --class MCI", 2);
  (void)run("predict --checkpoint none --data data", 2);
  if (!std::filesystem::exists("/dev/nvidia0"))
    for (const std::string& asked :
         std::vector<std::string>{"predict --checkpoint ckpt --data data", "predict --checkpoint ckpt --volume " + scan,
                                  "explain --checkpoint ckpt --png heat.png --volume " + scan}) {
      const std::string err = run(asked + " --device cuda", 2).err;
      EXPECT_TRUE(err.starts_with("gabra: --device: saw cuda") && err.find('\n') + 1 == err.size()) << err;
    }
}

TEST_F(TrainData, FaultsOfADataSetAreSaidOnceAndSkipped) {
  make_data(8);
  make_plan("plan", "0-12@0,1");
  write_text(folder_.file("data/sub-100/anat/sub-100_T1w.nii.gz"), "no gzip");
  std::filesystem::remove(folder_.file("data/sub-101/anat/sub-101_T1w.nii.gz"));
  const std::string line = "train --plan plan.json --data data --task ad-nc --epochs 1";
  const Outcome faulty = run(line, 2);
  for (const char* name : {"sub-100", "sub-101"}) EXPECT_NE(faulty.err.find(name), std::string::npos) << faulty.err;
  const json skipped = run_json(line + " --skip-bad");
  EXPECT_EQ(skipped.at("left_out").size(), 2U);
}

TEST_F(TrainData, WhoIsLeftOutIsSaidAtTheStart) {
  make_data(8, {"/ses-M00", "/ses-M12"});
  make_plan("plan", "0-12@0,1");
  std::filesystem::remove_all(folder_.file("data/sub-100/ses-M12"));
  std::filesystem::remove(folder_.file("data/sub-101/ses-M12/anat/sub-101_T1w.nii.gz"));
  std::filesystem::remove(folder_.file("data/sub-101/ses-M00/anat/sub-101_T1w.nii.gz"));
  add_person("sub-900", "MCI");
  add_person("sub-901", "n/a");
  const std::string data = " --data data --sessions M12 --skip-bad ";
  const Outcome trained = run("train --plan plan.json --task ad-nc --epochs 1 --checkpoint-dir ckpt" + data);
  for (const std::string* text : {&trained.err, &trained.out}) {
    EXPECT_NE(text->find("left out: 2 people of other groups: MCI 1, n/a 1\n"), std::string::npos) << *text;
    EXPECT_NE(text->find("left out: 1 person without the session \"M12\": sub-100\n"), std::string::npos) << *text;
    EXPECT_NE(text->find("left out: sub-101: "), std::string::npos) << *text;
  }
  const auto lines = read_log("ckpt/log.jsonl", "data");
  ASSERT_EQ(lines.size(), 1U);
  const json& line = lines.front();
  EXPECT_EQ(line.at("other_groups"), (json{{"MCI", 1}, {"n/a", 1}}));
  EXPECT_EQ(line.at("without_session"), json::array({"sub-100"}));
  EXPECT_EQ(line.at("left_out").size(), 1U);
  // 14 people in two classes of 7: one for the test and one for validation of each class.
  EXPECT_EQ(line.at("test"), (json{{"people", 2}, {"scans", 2}}));
  EXPECT_EQ(line.at("train"), (json{{"people", 10}, {"scans", 10}}));
  const json again = run_json("train --plan plan.json --task ad-nc --epochs 1" + data);
  EXPECT_EQ(again.at("data").at("other_groups"), line.at("other_groups"));
  EXPECT_EQ(again.at("data").at("without_session"), line.at("without_session"));
  EXPECT_EQ(again.at("left_out"), line.at("left_out"));

  const Outcome predicted = run("predict --checkpoint ckpt --task ad-nc --json" + data);
  EXPECT_NE(predicted.err.find("left out: 2 people of other groups"), std::string::npos) << predicted.err;
  const json document = json::parse(predicted.out);
  EXPECT_EQ(document.at("without_session"), line.at("without_session"));
  EXPECT_EQ(document.at("other_groups"), line.at("other_groups"));
  EXPECT_EQ(document.at("left_out"), line.at("left_out"));
}

TEST_F(TrainData, EveryFoldIsTheTestPartOnce) {
  make_data(6);
  make_plan("plan", "0-12@0,1");
  const std::string line = "train --plan plan.json --data data --task ad-nc --steps 2 --folds 3 --checkpoint-dir ";
  const json all = run_json(line + "all");
  EXPECT_EQ(all.at("folds"), 3);
  ASSERT_EQ(all.at("results").size(), 3U);
  double sum = 0.0;
  for (const json& result : all.at("results")) sum += result.at("test").at("accuracy").get<double>();
  EXPECT_NEAR(all.at("test").at("accuracy").get<double>(), sum / 3.0, 1e-12);
  std::multiset<std::string> tested;
  for (int fold = 0; fold < 3; ++fold) {
    const json checkpoint =
        json::parse(read_text(folder_.file("all/fold-" + std::to_string(fold) + "/step-000002.json")));
    EXPECT_EQ(checkpoint.at("data").at("fold"), fold);
    EXPECT_EQ(checkpoint.at("data").at("folds"), 3);
    for (const json& name : checkpoint.at("data").at("test")) tested.insert(name.get<std::string>());
  }
  EXPECT_EQ(tested.size(), 12U);
  EXPECT_EQ(std::set<std::string>(tested.begin(), tested.end()).size(), 12U);
  // One of them alone gives the same, and says which it is.
  const json one = run_json(line + "one --fold 1");
  EXPECT_EQ(one.at("losses"), all.at("results")[1].at("losses"));
  EXPECT_EQ(one.at("data").at("fold"), 1);
  // What is done is not done again.
  const Outcome resumed = run(line + "all --resume");
  EXPECT_NE(resumed.out.find("--fold 2: 4 test samples"), std::string::npos) << resumed.out;
  EXPECT_NE(resumed.out.find("test, mean of 3 folds"), std::string::npos) << resumed.out;
  EXPECT_EQ(read_log("all/fold-0/log.jsonl", "step").size(), 2U);
  EXPECT_NE(run(line + "x --log log.jsonl", 2).err.find("--log: saw this flag with --folds and without --fold"),
            std::string::npos);
}

TEST_F(TrainData, SessionsClassesAndAugmentation) {
  make_data(6, {"/ses-M00", "/ses-M12"});
  make_plan("plan", "0-12@0,1");
  const std::string line = "train --plan plan.json --data data --steps 2 ";
  const json first = run_json(line + "--task ad-nc");
  const json all = run_json(line + "--task ad-nc --sessions all");
  EXPECT_EQ(first.at("data").at("train"), (json{{"people", 8}, {"scans", 8}}));
  EXPECT_EQ(all.at("data").at("train"), (json{{"people", 8}, {"scans", 16}}));
  EXPECT_EQ(run_json(line + "--task ad-nc --sessions M12").at("data").at("train"), first.at("data").at("train"));
  EXPECT_NE(run(line + "--task ad-nc --sessions M24", 2).err.find("--sessions: saw \"M24\""), std::string::npos);
  // The same groups by name: the last is the positive class.
  EXPECT_EQ(run_json(line + "--classes NC,AD").at("losses"), first.at("losses"));
  EXPECT_EQ(run_json(line + "--classes AD,NC").at("data").at("classes"), (json{"AD", "NC"}));
  EXPECT_NE(run(line + "--classes AD", 2).err.find("--classes: saw 1 class"), std::string::npos);
  const json augmented = run_json(line + "--task ad-nc --augment");
  EXPECT_NE(augmented.at("losses"), first.at("losses"));
  EXPECT_EQ(run_json(line + "--task ad-nc --augment").at("losses"), augmented.at("losses"));
}

TEST_F(TrainData, WeightsAfterStepsEqualPyTorchs) {
  const std::string peers = GABRA_DATA_DIR "/../peers/pytorch";
  if (!std::filesystem::exists(peers + "/peer_train.py")) GTEST_SKIP() << peers << " is not there";
  if (!std::filesystem::exists(GABRA_PYTHON)) GTEST_SKIP() << GABRA_PYTHON << " is not there";
  const auto python = [&](const std::string& arguments) {
    const std::string line =
        "cd " + folder_.path() + " && OMP_NUM_THREADS=1 " GABRA_PYTHON " " + arguments + " > log 2>&1";
    ASSERT_EQ(std::system(line.c_str()), 0) << read_text(folder_.file("log"));
  };
  write_text(folder_.file("make.py"), "import sys, torch, collections\nsys.path.insert(0, '" + peers + R"(')
import models
torch.manual_seed(5)
m = torch.nn.Sequential(collections.OrderedDict(models.resattnet(18, 8)))
for name, p in m.named_parameters():
    if name.endswith("gamma"):
        p.data.fill_(0.3)
torch.save(m.state_dict(), "start.pt")
)");
  write_text(folder_.file("compare.py"), R"(
import torch
def kinds(path):
    result = {}
    for name, t in torch.load(path, weights_only=True).items():
        if not name.startswith("optimizer/") and "num_batches" not in name:
            result.setdefault(name.split(".")[-1], []).append(t.double())
    return result
ours, theirs = kinds("ours/step-000003.pt"), kinds("theirs.pt")
assert ours.keys() == theirs.keys()
worst = 0.0
for kind in ours:
    assert [t.shape for t in ours[kind]] == [t.shape for t in theirs[kind]], kind
    for a, b in zip(ours[kind], theirs[kind]):
        worst = max(worst, ((a - b).norm() / b.norm().clamp(min=1e-3)).item())
print("largest difference", worst)
assert worst < 1e-4, worst
)");
  python("make.py");
  python(peers +
         "/peer_train.py --mode serial --width 8 --size 64 --batch 8 --micro 4 --steps 3 --warmup 0 --lr 0.01 "
         "--load start.pt --save theirs.pt --save-batch batch.pt");
  const std::string peer_log = read_text(folder_.file("log"));
  const json peer = json::parse(peer_log.substr(peer_log.rfind("{\"mode\"")));
  make_plan("plan", "0-5@0 6-12@1", "", "3d-resattnet-18:width=8,input=1x64x64x64");
  const json ours = run_json(
      "train --plan plan.json --batch-file batch.pt --weights start.pt --steps 3 "
      "--learning-rate 0.01 --checkpoint-dir ours");
  EXPECT_NEAR(ours.at("losses")[0].get<double>(), peer.at("first_loss").get<double>(), 1e-5);
  EXPECT_NEAR(ours.at("losses")[2].get<double>(), peer.at("final_loss").get<double>(), 1e-4);
  python("compare.py");
}

}  // namespace
}  // namespace gabra::test
