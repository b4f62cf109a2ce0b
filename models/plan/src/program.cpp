// SPDX-License-Identifier: MIT
#include "gabra/plan/program.hpp"

#include <fmt/format.h>

namespace gabra {

std::string_view to_text(Opcode opcode) {
  constexpr std::array<std::string_view, kOpcodeCount> kNames{
      "Load",      "Forward",           "Loss",     "Recompute", "Backward", "Send", "Receive",
      "AllReduce", "CombineStatistics", "ClipNorm", "Update"};
  return kNames[static_cast<std::size_t>(opcode)];
}

std::string describe(const Instruction& instruction) {
  std::string text(to_text(instruction.opcode));
  if (instruction.is_gradient) text += " gradient";
  if (instruction.tensor >= 0) text += fmt::format(" tensor {}", instruction.tensor);
  if (instruction.stage.is_valid()) text += fmt::format(" stage {}", instruction.stage.value());
  if (instruction.micro_batch >= 0) text += fmt::format(" micro-batch {}", instruction.micro_batch);
  if (instruction.segment >= 0)
    text += fmt::format(" {} {}", instruction.opcode == Opcode::AllReduce ? "bucket" : "segment", instruction.segment);
  return text;
}

std::string describe(const Stream& stream, std::span<const std::string> device_names) {
  const std::string& own = device_names[stream.device.index()];
  switch (stream.kind) {
    case StreamKind::Load:
      return own + " load";
    case StreamKind::Compute:
      return own + " compute";
    case StreamKind::Send:
      return own + " -> " + device_names[stream.peer.index()];
    case StreamKind::Receive:
      return own + " <- " + device_names[stream.peer.index()];
    case StreamKind::Collective:
      return own + " collective";
  }
  return own;
}

}  // namespace gabra
