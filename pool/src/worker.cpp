// SPDX-License-Identifier: MIT
#include "gabra/pool/worker.hpp"

#include "gabra/core/error.hpp"
#include "gabra/pool/messages.hpp"

#include <istream>
#include <ostream>
#include <span>
#include <string>
#include <utility>

namespace gabra::pool {
namespace {

bool say_failed(std::ostream& out, const std::string& message) {
  out << to_line(Failed{message}) << '\n' << std::flush;
  return false;
}

}  // namespace

bool serve_plans(std::istream& in, std::ostream& out, const std::string& build,
                 const std::function<std::unique_ptr<Evaluator>(Problem problem)>& make) {
  std::string line;
  if (!std::getline(in, line)) return true;
  std::unique_ptr<Evaluator> evaluator;
  try {
    Header header = parse_header(line);
    if (header.build != build)
      return say_failed(out, "this worker is gabra " + build + ", the search is gabra " + header.build);
    evaluator = make(std::move(header.problem));
  } catch (const InputError& error) {
    return say_failed(out, error.what());
  }
  out << to_line(Ready{.build = build, .slots = 1}) << '\n' << std::flush;
  while (std::getline(in, line)) {
    const std::optional<NumberedPlan> request = parse_plan_line(line);
    if (!request) return say_failed(out, "no plan of gabra/work/1: " + in_quotes(line));
    const std::vector<Evaluation> evaluations = evaluator->evaluate(std::span(&request->plan, 1));
    out << to_line(request->id, evaluations.front()) << '\n' << std::flush;
  }
  return true;
}

}  // namespace gabra::pool
