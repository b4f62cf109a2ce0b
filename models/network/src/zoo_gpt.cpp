// SPDX-License-Identifier: MIT
#include "zoo_options.hpp"

#include <fmt/format.h>

namespace gabra {
namespace {

/// A decoder-only transformer with pre-norm blocks and learned positions. The output projection has weights of its own;
/// GPT-2 shares them with the token embedding, which would tie the first and the last stage of a pipeline together.
/// GPT-2's dropout on the attention matrix is left out, the others are there.
class GptMaker {
 public:
  explicit GptMaker(double dropout) : dropout_(dropout) {}

  std::string add_attention(const std::string& name, const std::string& x, std::int64_t heads) {
    std::string y = list_.add(name + ".norm", LayerNorm{}, {x});
    y = list_.add(name + ".attention", CausalAttention{heads}, {y});
    return add_residual(name, x, y);
  }
  std::string add_mlp(const std::string& name, const std::string& x, std::int64_t hidden) {
    std::string y = list_.add(name + ".norm", LayerNorm{}, {x});
    y = list_.add(name + ".up", Linear{4 * hidden}, {y});
    y = list_.add(name + ".gelu", Gelu{}, {y});
    y = list_.add(name + ".down", Linear{hidden}, {y});
    return add_residual(name, x, y);
  }
  std::string add_dropout(const std::string& name, const std::string& x) {
    return list_.add(name + ".dropout", Dropout{dropout_}, {x});
  }
  LayerList& list() { return list_; }

 private:
  std::string add_residual(const std::string& name, const std::string& x, const std::string& y) {
    return list_.add(name + ".add", Add{}, {x, add_dropout(name, y)});
  }

  double dropout_;
  LayerList list_;
};

}  // namespace

std::vector<LayerSpec> gpt_layers(ZooOptions& options) {
  const std::int64_t layers = options.integer("layers", 1, 1000);
  const std::int64_t hidden = options.integer("hidden", 1, 131'072);
  const std::int64_t heads = options.integer("heads", 1, 1024);
  const std::int64_t sequence = options.integer("sequence", 1, 1'048'576);
  const std::int64_t vocabulary = options.integer("vocabulary", 1, 10'000'000);
  GptMaker maker(options.share("dropout"));
  if (hidden % heads != 0) options.refuse("heads", fmt::format("a divisor of the {} hidden features", hidden));
  LayerList& list = maker.list();
  std::string x = list.add("tokens", Input{{sequence}, true}, {});
  x = list.add("embedding.table", Embedding{vocabulary, hidden, sequence}, {x});
  x = maker.add_dropout("embedding", x);
  for (std::int64_t block = 1; block <= layers; ++block) {
    x = maker.add_attention(fmt::format("block{}.attention", block), x, heads);
    x = maker.add_mlp(fmt::format("block{}.mlp", block), x, hidden);
  }
  x = list.add("head.norm", LayerNorm{}, {x});
  Linear output;
  output.out_features = vocabulary;
  output.bias = false;
  list.add("head.linear", output, {x});
  return list.take();
}

}  // namespace gabra
