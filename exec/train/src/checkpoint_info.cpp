// SPDX-License-Identifier: MIT
#include "gabra/core/check.hpp"
#include "gabra/exec/checkpoint.hpp"
#include "gabra/json/training.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/plan/plan.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace gabra::exec {
namespace {

json::Value embedded(const std::string& text) {
  FaultList faults;
  json::Value value = json::parse(text.empty() ? "null" : text, "embedded document", faults);
  GABRA_CHECK(faults.empty(), "a document of our own writing must be JSON");
  return value;
}

const std::vector<std::string> kSchedules{"constant", "cosine", "step"};  // in the order of LearningRateRule

json::Value to_value(const RunSettings& run) {
  const LearningRate& rate = run.update.learning_rate;
  return {{"micro_batches", run.micro_batches},
          {"learning_rate", rate.base},
          {"schedule", kSchedules[static_cast<std::size_t>(rate.rule)]},
          {"warmup_steps", rate.warmup_steps},
          {"step_epochs", rate.epochs_per_step},
          {"step_factor", rate.factor},
          {"momentum", run.update.momentum},
          {"weight_decay", run.update.weight_decay},
          {"steps", run.steps},
          {"samples", run.samples}};
}

std::optional<RunSettings> read_run(json::ObjectReader& object) {
  const json::Value* value = object.optional("run");
  if (value == nullptr) return std::nullopt;
  json::ObjectReader inner(*value, object.place_of("run"), object.faults());
  RunSettings run;
  LearningRate& rate = run.update.learning_rate;
  run.micro_batches = inner.integer("micro_batches", json::kPositive);
  rate.base = inner.number("learning_rate");
  rate.rule = static_cast<LearningRateRule>(inner.choice("schedule", kSchedules));
  rate.warmup_steps = inner.integer("warmup_steps", json::kNonNegative);
  rate.epochs_per_step = inner.integer("step_epochs", json::kPositive);
  rate.factor = inner.number("step_factor");
  run.update.momentum = inner.number("momentum");
  run.update.weight_decay = inner.number("weight_decay");
  run.steps = inner.integer("steps", json::kPositive);
  run.samples = inner.text("samples");
  inner.finish();
  return run;
}

std::shared_ptr<const Network> read_network(json::ObjectReader& object) {
  const json::Value* value = object.required("network");
  if (value == nullptr) return nullptr;
  try {
    return std::make_shared<const Network>(parse_network(value->dump(), object.place_of("network").text()));
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) object.faults().add(fault.where, fault.seen, fault.allowed);
    return nullptr;
  }
}

template <class Number>
Number read_hexadecimal(json::ObjectReader& object, const std::string& key, std::size_t digits) {
  const json::Value* value = object.required(key);
  if (value == nullptr) return 0;
  const std::optional<std::string> given = json::as_text(*value, object.place_of(key), object.faults());
  if (!given) return 0;
  const std::string& text = *given;
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (text.size() != digits || error != std::errc() || end != text.data() + text.size())
    object.faults().add(object.place_of(key).text(), in_quotes(text), fmt::format("{} hexadecimal digits", digits));
  return number;
}

std::string read_document(json::ObjectReader& object, const std::string& key) {
  const json::Value* value = object.required(key);
  return value == nullptr ? "null" : value->dump();
}

}  // namespace

std::string to_json_text(const CheckpointInfo& info) {
  json::Value value{{"schema", "gabra/checkpoint/1"},
                    {"step", info.step},
                    {"epoch", info.epoch},
                    {"step_of_epoch", info.step_of_epoch},
                    {"loss_of_epoch", info.loss_of_epoch},
                    {"seed", fmt::format("{:016x}", info.seed)},
                    {"file", info.file},
                    {"file_bytes", info.digest.bytes},
                    {"crc32", fmt::format("{:08x}", info.digest.crc32)},
                    {"training", to_value(info.training)}};
  if (info.run) value["run"] = to_value(*info.run);
  value["data"] = embedded(info.data);
  value["measures"] = embedded(info.measures);
  value["network_fingerprint"] = fmt::format("{:016x}", info.network->fingerprint());
  value["network"] = embedded(gabra::to_json_text(*info.network));
  return value.dump(1) + "\n";
}

CheckpointInfo parse_checkpoint(std::string_view json_text, const std::string& name) {
  FaultList faults;
  const json::Value value = json::parse(json_text, name, faults);
  if (value.is_null()) faults.throw_if_any();
  json::ObjectReader object(value, json::Place(name), faults);
  json::check_schema(object, "checkpoint");
  CheckpointInfo info;
  info.step = object.integer("step", json::kNonNegative);
  info.epoch = object.integer("epoch", json::kNonNegative);
  info.step_of_epoch = object.integer("step_of_epoch", json::kNonNegative);
  info.loss_of_epoch = object.number("loss_of_epoch");
  info.seed = read_hexadecimal<std::uint64_t>(object, "seed", 16);
  info.file = object.text("file");
  if (info.file.find('/') != std::string::npos)
    faults.add(object.place_of("file").text(), in_quotes(info.file), "a name in the same folder");
  info.digest.bytes = object.integer("file_bytes", json::kNonNegative);
  info.digest.crc32 = read_hexadecimal<std::uint32_t>(object, "crc32", 8);
  info.training = read_training(object);
  info.run = read_run(object);
  info.data = read_document(object, "data");
  info.measures = read_document(object, "measures");
  const auto fingerprint = read_hexadecimal<std::uint64_t>(object, "network_fingerprint", 16);
  info.network = read_network(object);
  object.finish();
  faults.throw_if_any();
  if (info.network->fingerprint() != fingerprint)
    faults.add(object.place_of("network").text(),
               fmt::format("a network of the fingerprint {:016x}", info.network->fingerprint()),
               fmt::format("that of the field network_fingerprint, {:016x}", fingerprint));
  faults.throw_if_any();
  return info;
}

std::optional<double> validation_loss(const CheckpointInfo& info) {
  const json::Value measures = embedded(info.measures);
  const auto loss = measures.find("loss");  // null where it was no number
  if (!measures.is_object() || loss == measures.end() || !loss->is_number()) return std::nullopt;
  return loss->get<double>();
}

}  // namespace gabra::exec
