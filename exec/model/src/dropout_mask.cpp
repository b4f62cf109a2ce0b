// SPDX-License-Identifier: MIT
#include "dropout_mask.hpp"

#include "gabra/core/hasher.hpp"
#include "gabra/core/rng.hpp"
#include "gabra/exec/to_device.hpp"

#include <ATen/ATen.h>

#include <bit>
#include <cmath>

namespace gabra::exec {
namespace {

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;  // SplitMix64's increment
constexpr std::uint64_t kFirst = 0xbf58476d1ce4e5b9U;
constexpr std::uint64_t kSecond = 0x94d049bb133111ebU;

std::uint64_t start_of(const DropoutKey& key, std::int64_t sample) {
  Hasher hasher;
  hasher.add(key.seed);
  hasher.add(key.layer);
  hasher.add(key.step);
  hasher.add(key.first_sample + sample);
  return mix_bits(hasher.value());
}

/// Elements whose upper 32 bits lie below are dropped.
std::uint64_t threshold_of(double probability) {
  return static_cast<std::uint64_t>(std::llround(std::ldexp(probability, 32)));
}

std::int64_t as_signed(std::uint64_t bits) { return std::bit_cast<std::int64_t>(bits); }

/// Shift right that fills with zeros.
at::Tensor shifted(const at::Tensor& value, int by) {
  return value.bitwise_right_shift(by).bitwise_and_(as_signed(~std::uint64_t{0} >> static_cast<unsigned>(by)));
}

}  // namespace

at::Tensor dropout_mask(const DropoutKey& key, c10::IntArrayRef sizes, c10::Device device) {
  if (!device.is_cpu()) return dropout_mask_by_operations(key, sizes, device);
  at::Tensor mask = at::empty(sizes, at::kBool);
  const std::uint64_t threshold = threshold_of(key.probability);
  const std::int64_t elements = mask.numel() / sizes[0];
  bool* const kept = mask.mutable_data_ptr<bool>();
  for (std::int64_t sample = 0; sample < sizes[0]; ++sample) {
    const std::uint64_t start = start_of(key, sample);
    bool* const row = kept + sample * elements;
    for (std::int64_t i = 0; i < elements; ++i) {
      std::uint64_t value = start + kGolden * (static_cast<std::uint64_t>(i) + 1);
      value = (value ^ (value >> 30U)) * kFirst;
      value = (value ^ (value >> 27U)) * kSecond;
      value ^= value >> 31U;
      row[i] = (value >> 32U) >= threshold;
    }
  }
  return mask;
}

at::Tensor dropout_mask_by_operations(const DropoutKey& key, c10::IntArrayRef sizes, c10::Device device) {
  const at::Tensor starts = at::empty({sizes[0], 1}, at::kLong);
  for (std::int64_t sample = 0; sample < sizes[0]; ++sample)
    starts.mutable_data_ptr<std::int64_t>()[sample] = as_signed(start_of(key, sample));
  const auto kind = at::TensorOptions().device(device).dtype(at::kLong);
  const at::Tensor steps = at::arange(1, c10::multiply_integers(sizes) / sizes[0] + 1, kind).mul_(as_signed(kGolden));
  at::Tensor value = steps.unsqueeze(0).add(to_device(starts, device));
  value.bitwise_xor_(shifted(value, 30)).mul_(as_signed(kFirst));
  value.bitwise_xor_(shifted(value, 27)).mul_(as_signed(kSecond));
  value.bitwise_xor_(shifted(value, 31));
  return shifted(value, 32).ge(static_cast<std::int64_t>(threshold_of(key.probability))).view(sizes);
}

}  // namespace gabra::exec
