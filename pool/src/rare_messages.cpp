// SPDX-License-Identifier: MIT
#include "rare_messages.hpp"

#include "gabra/cluster/presets.hpp"
#include "gabra/core/check.hpp"
#include "gabra/json/training.hpp"
#include "gabra/network/network_file.hpp"
#include "gabra/network/profile.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

namespace gabra::pool {
namespace {

using json::Value;

constexpr const char* kSchema = "gabra/work/1";
constexpr std::int64_t kMostSlots = 1'000'000;

std::string to_line_text(const Value& value) { return value.dump(-1, ' ', false, Value::error_handler_t::replace); }

Value embedded(const std::string& text) {
  FaultList faults;
  Value value = json::parse(text, "embedded document", faults);
  GABRA_CHECK(faults.empty(), "a document of our own writing must be JSON");
  return value;
}

/// Parses an embedded document with its own parser.
template <class Parse>
auto read_embedded(json::ObjectReader& object, std::string_view key, bool is_required, Parse parse)
    -> std::shared_ptr<const decltype(parse(std::string(), std::string()))> {
  using Document = decltype(parse(std::string(), std::string()));
  const Value* value = is_required ? object.required(key) : object.optional(key);
  if (value == nullptr) return nullptr;
  try {
    return std::make_shared<const Document>(parse(value->dump(), object.place_of(key).text()));
  } catch (const InputError& error) {
    for (const Fault& fault : error.faults()) object.faults().add(fault.where, fault.seen, fault.allowed);
    return nullptr;
  }
}

Lost read_lost(json::ObjectReader& object) {
  Lost lost;
  lost.ids = object.integers("lost");
  if (object.has("culprit")) lost.culprit = object.integer("culprit");
  lost.from_outside = object.boolean_or("from_outside", false);
  lost.reason = object.text("reason");
  return lost;
}

Message read_message(json::ObjectReader& object) {
  if (object.has("lost")) return read_lost(object);
  if (object.has("note")) return Note{object.text("note")};
  if (object.has("failed")) return Failed{object.text("failed")};
  if (object.has("schema")) {
    json::check_schema(object, "work");
    Ready ready;
    ready.build = object.text("ready");
    ready.slots = object.integer("slots", {0, kMostSlots});
    return ready;
  }
  return Slots{object.integer("slots", {0, kMostSlots})};
}

}  // namespace

std::string json_text(std::string_view text) { return to_line_text(Value(text)); }

std::optional<std::string> from_json_text(std::string_view json_text) {
  FaultList faults;
  const Value value = json::parse(json_text, "text", faults);
  if (!faults.empty() || !value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

std::optional<Message> parse_rare_message(std::string_view line) {
  FaultList faults;
  const Value value = json::parse(line, "message", faults);
  if (!faults.empty()) return std::nullopt;
  json::ObjectReader object(value, json::Place("message"), faults);
  Message message = read_message(object);
  object.finish();
  if (!faults.empty()) return std::nullopt;
  return message;
}

std::string to_line(const Header& header) {
  const Problem& problem = header.problem;
  Value value{{"schema", kSchema}, {"build", header.build}, {"training", to_value(problem.training)}};
  value["network"] = embedded(to_json_text(*problem.network));
  value["cluster"] = embedded(to_json_text(*problem.cluster));
  if (problem.profile != nullptr) value["profile"] = embedded(to_json_text(*problem.profile));
  return to_line_text(value);
}

Header parse_header(std::string_view line) {
  FaultList faults;
  const Value value = json::parse(line, "header", faults);
  if (value.is_null()) faults.throw_if_any();
  json::ObjectReader object(value, json::Place("header"), faults);
  json::check_schema(object, "work");
  Header header;
  header.build = object.text("build");
  header.problem.training = read_training(object);
  header.problem.network = read_embedded(object, "network", true, [](std::string_view text, const std::string& name) {
    return parse_network(text, name);
  });
  header.problem.cluster = read_embedded(object, "cluster", true, [](std::string_view text, const std::string& name) {
    return parse_cluster(text, name);
  });
  header.problem.profile = read_embedded(object, "profile", false, [](std::string_view text, const std::string& name) {
    return parse_profile(text, name);
  });
  object.finish();
  faults.throw_if_any();
  return header;
}

std::string to_line(const Ready& ready) {
  return to_line_text({{"schema", kSchema}, {"ready", ready.build}, {"slots", ready.slots}});
}

std::string to_line(const Failed& failed) { return to_line_text({{"failed", failed.message}}); }

}  // namespace gabra::pool
