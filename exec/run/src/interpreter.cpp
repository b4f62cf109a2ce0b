// SPDX-License-Identifier: MIT
#include "gabra/exec/interpreter.hpp"

#include "gabra/core/check.hpp"
#include "gabra/exec/to_device.hpp"
#include "rank_routes.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace gabra::exec {
namespace {

/// Says that the current stream reads `tensor`, which another stream may have made: its memory is not given to anyone
/// else before. On the CPU, where work runs in order of its completion, there is nothing to say.
at::Tensor use_here(at::Tensor tensor) {
  if (!tensor.is_cpu())
    tensor.record_stream(c10::impl::VirtualGuardImpl(tensor.device().type()).getStream(tensor.device()));
  return tensor;
}

bool has_other_holder(const at::Tensor& tensor) { return tensor.use_count() > 1 || tensor.storage().use_count() > 1; }

}  // namespace

struct Interpreter::Impl {
  Impl(const Program& program, Parts parts);

  StepResult run_step(const UpdateOptions& options);
  void submit(InstructionId id);
  void compute(InstructionId id);
  void load(InstructionId id);
  void forward(const Instruction& one, const ComputeRoutes& routes);
  void hand_out(const Instruction& one, const ComputeRoutes& routes);
  void loss(const Instruction& one);
  void backward(const Instruction& one, const ComputeRoutes& routes);
  void take_gradients(const Instruction& one, const ComputeRoutes& routes);
  void hand_back(const Instruction& one, const ComputeRoutes& routes);
  void update(const Instruction& one);
  at::Tensor transfer_tensor(InstructionId id);
  void transfer_done(InstructionId id, at::Tensor tensor);
  at::Tensor receive_buffer(const Instruction& one) const;
  at::Tensor own_squared_norm() const;
  void check_bytes(const Instruction& one, const at::Tensor& tensor) const;
  StepResult result() const;
  void forget();

  [[nodiscard]] const Instruction& at(InstructionId id) const { return program.instructions[id.index()]; }
  [[nodiscard]] StageModule& module_of(const Instruction& one) { return *modules.at(one.stage); }
  [[nodiscard]] PassContext pass(const Instruction& one) const {
    return {update_options.step - 1, one.micro_batch * (program.samples / program.micro_batches), true,
            one.opcode == Opcode::Forward};
  }

  /// A tensor on its way between two stages of this rank.
  struct Handover {
    std::int32_t tensor;
    StageId reader;
    std::int32_t micro_batch;
    auto operator<=>(const Handover&) const = default;
  };

  const Program& program;
  Parts parts;
  RankRoutes routes;
  std::map<StageId, std::unique_ptr<StageModule>> modules;
  // Each slot is written by one instruction and read by one that runs after it, so the threads of a CPU device need
  // no lock. The others are touched by compute alone.
  std::vector<at::Tensor> slots;                // by instruction of a transfer: what is sent, received or reduced
  std::vector<std::vector<at::Tensor>> loaded;  // by Load
  std::map<Handover, at::Tensor> activations, gradients;
  std::vector<at::Tensor> losses;
  at::Tensor norm, clip_factor;  // undefined without clipping
  UpdateOptions update_options;
};

Interpreter::Impl::Impl(const Program& of_run, Parts of_rank)
    : program(of_run),
      parts(std::move(of_rank)),
      routes(of_run, *parts.network, of_run.devices.at(static_cast<std::size_t>(parts.communicator.rank()))),
      slots(of_run.instructions.size()),
      loaded(of_run.instructions.size()) {
  if (parts.class_weights.defined()) parts.class_weights = to_device(parts.class_weights, parts.model.device);
  parts.model.sums_wide = parts.training.gradient_sum == GradientSum::Wide;
  parts.model.between_layers = [&device = parts.device](LayerId) { device.between_layers(); };
  for (std::size_t s = 0; s < program.stages.size(); ++s) {
    const StageOutline& outline = program.stages[s];
    if (std::find(outline.devices.begin(), outline.devices.end(), routes.device()) == outline.devices.end()) continue;
    auto module = std::make_unique<StageModule>(*parts.network, outline, parts.training.optimizer, parts.model);
    module->set_micro_batches(program.micro_batches);
    modules.emplace(StageId(s), std::move(module));
  }
}

StepResult Interpreter::Impl::run_step(const UpdateOptions& options) {
  update_options = options;
  losses.clear();
  norm = at::Tensor();
  clip_factor = at::Tensor();
  try {
    for (const InstructionId id : routes.instructions()) submit(id);
    parts.device.finish();
    return result();
  } catch (...) {
    forget();
    throw;
  }
}

void Interpreter::Impl::submit(InstructionId id) {
  const StreamKind kind = program.streams[at(id).stream.index()].kind;
  Work work;
  work.instruction = id;
  work.after = routes.after(id);
  if (kind == StreamKind::Load || kind == StreamKind::Compute) {
    work.compute = [this, id] { compute(id); };
  } else {
    work.tensor = [this, id] { return transfer_tensor(id); };
    work.done = [this, id](at::Tensor tensor) { transfer_done(id, std::move(tensor)); };
  }
  parts.device.submit(std::move(work));
}

void Interpreter::Impl::compute(InstructionId id) {
  const Instruction& one = at(id);
  switch (one.opcode) {
    case Opcode::Load:
      return load(id);
    case Opcode::Forward:
      return forward(one, routes.of(id));
    case Opcode::Loss:
      return loss(one);
    case Opcode::Recompute:
      return module_of(one).recompute(one.micro_batch, pass(one));
    case Opcode::Backward:
      return backward(one, routes.of(id));
    case Opcode::Update:
      return update(one);
    default:
      GABRA_CHECK(false, describe(one) + " on a stream that computes");
  }
}

void Interpreter::Impl::load(InstructionId id) {
  std::vector<at::Tensor> inputs = parts.batches.inputs(update_options.step - 1, at(id).micro_batch);
  for (at::Tensor& input : inputs) {
    if (!input.defined()) continue;
    const auto type = input.is_floating_point() ? parts.model.dtype : input.scalar_type();
    input = to_device(std::move(input), parts.model.device).to(type);
  }
  loaded[id.index()] = std::move(inputs);
}

void Interpreter::Impl::forward(const Instruction& one, const ComputeRoutes& linked) {
  StageModule& module = module_of(one);
  const std::int32_t m = one.micro_batch;
  for (const InstructionId load : linked.loads) {
    std::vector<at::Tensor> inputs = std::exchange(loaded[load.index()], {});
    for (at::Tensor& input : inputs)
      if (input.defined()) input = use_here(std::move(input));
    module.put_network_input(m, std::move(inputs));
  }
  for (const InstructionId receive : linked.receives)
    module.put_activation(m, at(receive).tensor, use_here(std::exchange(slots[receive.index()], at::Tensor())));
  for (const StageEdge& edge : routes.incoming(one.stage))
    if (routes.runs(edge.from, m)) {
      auto node = activations.extract(Handover{edge.tensor, one.stage, m});
      module.put_activation(m, edge.tensor, std::move(node.mapped()));
    }
  module.forward(m, !routes.recomputes(one.stage, m), pass(one));
  hand_out(one, linked);
}

/// Outputs go to the stages that read them; what holds them from now on are those.
void Interpreter::Impl::hand_out(const Instruction& one, const ComputeRoutes& linked) {
  StageModule& module = module_of(one);
  const std::int32_t m = one.micro_batch;
  for (const InstructionId send : linked.sends) {
    slots[send.index()] = module.output(m, at(send).tensor).contiguous();
    check_bytes(at(send), slots[send.index()]);
  }
  const std::vector<StageEdge>& outgoing = routes.outgoing(one.stage);
  for (const StageEdge& edge : outgoing)
    if (routes.runs(edge.to, m)) activations[{edge.tensor, edge.to, m}] = module.output(m, edge.tensor);
  for (std::size_t i = 0; i < outgoing.size(); ++i)
    if (i == 0 || outgoing[i].tensor != outgoing[i - 1].tensor) module.release_output(m, outgoing[i].tensor);
  for (const InstructionId reduction : linked.collectives) {
    slots[reduction.index()] = module.pending_statistics();
    check_bytes(at(reduction), slots[reduction.index()]);
  }
}

void Interpreter::Impl::loss(const Instruction& one) {
  const at::Tensor target =
      to_device(parts.batches.target(update_options.step - 1, one.micro_batch), parts.model.device);
  const double scale = 1.0 / static_cast<double>(program.micro_batches);
  losses.push_back(module_of(one).loss(one.micro_batch, target, parts.class_weights, scale));
}

void Interpreter::Impl::backward(const Instruction& one, const ComputeRoutes& linked) {
  if (one.segment <= 0) take_gradients(one, linked);
  module_of(one).backward(one.micro_batch, one.segment);
  hand_back(one, linked);
}

void Interpreter::Impl::take_gradients(const Instruction& one, const ComputeRoutes& linked) {
  StageModule& module = module_of(one);
  const std::int32_t m = one.micro_batch;
  for (const InstructionId receive : linked.receives)
    module.put_gradient(m, at(receive).tensor, at(at(receive).partner).stage,
                        use_here(std::exchange(slots[receive.index()], at::Tensor())));
  for (const StageEdge& edge : routes.outgoing(one.stage))
    if (edge.needs_gradient && routes.runs(edge.to, m)) {
      auto node = gradients.extract(Handover{edge.tensor, edge.to, m});
      module.put_gradient(m, edge.tensor, edge.to, std::move(node.mapped()));
    }
}

/// Gradients of the inputs that this backward completed go to the stages that made them; a bucket that it completed
/// is reduced.
void Interpreter::Impl::hand_back(const Instruction& one, const ComputeRoutes& linked) {
  StageModule& module = module_of(one);
  const std::int32_t m = one.micro_batch;
  for (const InstructionId send : linked.sends) {
    at::Tensor gradient = module.take_input_gradient(m, at(send).tensor).contiguous();
    // An addition gives all its inputs one gradient, and a backward may write over what it alone holds.
    if (parts.device.enqueues_transfers() && has_other_holder(gradient)) gradient = gradient.clone();
    check_bytes(at(send), gradient);
    slots[send.index()] = std::move(gradient);
  }
  for (const StageEdge& edge : routes.incoming(one.stage))
    if (edge.needs_gradient && routes.runs(edge.from, m) && routes.covers(one.stage, one.segment, edge.first_reader))
      gradients[{edge.tensor, one.stage, m}] = module.take_input_gradient(m, edge.tensor);
  for (const InstructionId reduction : linked.collectives) {
    slots[reduction.index()] = module.gradient(static_cast<std::size_t>(at(reduction).segment));
    check_bytes(at(reduction), slots[reduction.index()]);
  }
}

void Interpreter::Impl::update(const Instruction& one) {
  StageModule& module = module_of(one);
  if (clip_factor.defined()) module.scale_gradients(use_here(clip_factor));
  module.update(update_options);
}

at::Tensor Interpreter::Impl::transfer_tensor(InstructionId id) {
  const Instruction& one = at(id);
  if (one.opcode == Opcode::Receive) return receive_buffer(one);
  if (one.opcode == Opcode::ClipNorm) {
    at::Tensor sum = own_squared_norm();
    check_bytes(one, sum);
    return sum;
  }
  return use_here(std::exchange(slots[id.index()], at::Tensor()));
}

void Interpreter::Impl::transfer_done(InstructionId id, at::Tensor tensor) {
  const Instruction& one = at(id);
  if (one.opcode == Opcode::Receive) {
    slots[id.index()] = std::move(tensor);
    return;
  }
  if (one.opcode != Opcode::ClipNorm) return;
  norm = tensor.sqrt();
  clip_factor = norm.add(1e-6).reciprocal().mul(*parts.training.clip_norm).clamp_max(1.0).squeeze();
  // The last bits show in what order stages added their squares: rounded, so that gradients hardly ever show it.
  if (parts.model.dtype != c10::ScalarType::Double) clip_factor = clip_factor.to(c10::ScalarType::Float);
}

at::Tensor Interpreter::Impl::receive_buffer(const Instruction& one) const {
  const UnitTensor& tensor = parts.network->unit_tensors()[static_cast<std::size_t>(one.tensor)];
  std::vector<std::int64_t> shape{program.samples / program.micro_batches};
  const Shape& sample = parts.network->layer(tensor.layer).output;
  shape.insert(shape.end(), sample.begin(), sample.end());
  at::Tensor buffer = at::empty(shape, at::TensorOptions(parts.model.device).dtype(parts.model.dtype));
  check_bytes(one, buffer);
  return buffer;
}

/// Gradients of a replicated stage are equal on all its devices by now: the first counts them.
at::Tensor Interpreter::Impl::own_squared_norm() const {
  const bool is_wide = parts.model.dtype == c10::ScalarType::Double || parts.model.sums_wide;
  at::Tensor sum = at::zeros({1}, at::TensorOptions(parts.model.device).dtype(c10::ScalarType::Double));
  for (const auto& [stage, module] : modules)
    if (program.stages[stage.index()].devices.front() == routes.device()) sum.add_(module->squared_gradient_norm());
  return is_wide ? sum : sum.to(c10::ScalarType::Float);
}

/// In float64, which no plan has, everything is twice as large but what is summed in float64 anyway.
void Interpreter::Impl::check_bytes(const Instruction& one, const at::Tensor& tensor) const {
  const bool is_sum =
      one.opcode == Opcode::AllReduce || one.opcode == Opcode::CombineStatistics || one.opcode == Opcode::ClipNorm;
  const std::int64_t factor =
      parts.model.dtype == c10::ScalarType::Double && !(is_sum && parts.model.sums_wide) ? 2 : 1;
  GABRA_CHECK(static_cast<std::int64_t>(tensor.nbytes()) == factor * one.bytes.value(),
              fmt::format("{}: {} bytes, and the Program says {}", describe(one), tensor.nbytes(), one.bytes.value()));
}

StepResult Interpreter::Impl::result() const {
  StepResult step;
  if (!losses.empty()) {
    // All in one transfer, for each takes a GPU as long as many small kernels.
    const at::Tensor all = at::stack(losses).to(at::kCPU, at::kDouble);
    for (std::int64_t i = 0; i < all.numel(); ++i) step.loss += all.const_data_ptr<double>()[i];
  }
  if (norm.defined()) step.gradient_norm = norm.item<double>();
  step.spans = parts.device.spans();
  return step;
}

void Interpreter::Impl::forget() {
  for (at::Tensor& slot : slots) slot = at::Tensor();
  for (std::vector<at::Tensor>& inputs : loaded) inputs.clear();
  activations.clear();
  gradients.clear();
  for (const auto& [stage, module] : modules) module->reset();
}

Interpreter::Interpreter(const Program& program, Parts parts)
    : impl_(std::make_unique<Impl>(program, std::move(parts))) {}

Interpreter::~Interpreter() = default;

StepResult Interpreter::run_step(const UpdateOptions& options) { return impl_->run_step(options); }

std::map<StageId, StageModule*> Interpreter::modules() {
  std::map<StageId, StageModule*> result;
  for (const auto& [stage, module] : impl_->modules) result.emplace(stage, module.get());
  return result;
}

const Program& Interpreter::program() const { return impl_->program; }

}  // namespace gabra::exec
