// SPDX-License-Identifier: MIT
#include "gabra/json/training.hpp"
#include "gabra/plan/plan.hpp"

#include <string>
#include <vector>

namespace gabra {
namespace {

// In the order of their enumerations.
const std::vector<std::string> kPrecisions{"float32", "bfloat16"};
const std::vector<std::string> kOptimizers{"sgd_momentum", "adamw"};
const std::vector<std::string> kGradientSums{"plain", "wide"};

}  // namespace

json::Value to_value(const TrainingSettings& training) {
  json::Value value{{"global_batch", training.global_batch},
                    {"precision", to_text(training.precision)},
                    {"optimizer", to_text(training.optimizer)}};
  if (training.clip_norm) value["clip_norm"] = *training.clip_norm;
  if (training.gradient_sum != GradientSum::Plain) value["gradient_sum"] = to_text(training.gradient_sum);
  return value;
}

TrainingSettings read_training(json::ObjectReader& object) {
  TrainingSettings training;
  const json::Value* value = object.required("training");
  if (value == nullptr) return training;
  json::ObjectReader reader(*value, object.place_of("training"), object.faults());
  training.global_batch = reader.integer("global_batch", {1, kMostBatch});
  training.precision = static_cast<Precision>(reader.choice_or("precision", kPrecisions, 0));
  training.optimizer = static_cast<Optimizer>(reader.choice_or("optimizer", kOptimizers, 0));
  training.gradient_sum = static_cast<GradientSum>(reader.choice_or("gradient_sum", kGradientSums, 0));
  if (const json::Value* norm = reader.optional("clip_norm")) {
    const auto place = reader.place_of("clip_norm");
    training.clip_norm = json::as_number(*norm, place, object.faults());
    if (training.clip_norm && *training.clip_norm <= 0.0)
      object.faults().add(place.text(), json::seen(*norm), "a number above 0");
  }
  reader.finish();
  return training;
}

}  // namespace gabra
