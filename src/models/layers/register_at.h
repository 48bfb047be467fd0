#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>

namespace lockstep::models {

/// Registers `child` in `parent` under a dotted path, such as "attn.attention.q_proj", and creates missing modules on
/// the way.
template <class Module>
std::shared_ptr<Module> register_at(torch::nn::Module& parent, const std::string& path, std::shared_ptr<Module> child) {
  const auto dot = path.find('.');
  if (dot == std::string::npos) return parent.register_module(path, std::move(child));
  const std::string first = path.substr(0, dot);
  const auto children = parent.named_children();
  auto next =
      children.contains(first) ? children[first] : parent.register_module(first, std::make_shared<torch::nn::Module>());
  return register_at(*next, path.substr(dot + 1), std::move(child));
}

}  // namespace lockstep::models
