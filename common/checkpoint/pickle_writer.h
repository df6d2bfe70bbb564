// The `data.pkl` of an archive: a nested dict of tensors in pickle protocol 2. Internal to common/checkpoint.
//
// Only the opcodes that every weights_only loader since PyTorch 1.13 accepts are written. Source: CPython
// Lib/pickletools.py (opcodes), torch/_weights_only_unpickler.py (what is accepted), torch/serialization.py (how a
// storage is referred to).
#pragma once

#include <string>

#include "common/checkpoint/state.h"

namespace ts::checkpoint {

// Tensors are numbered in the order of a depth-first walk; tensor i refers to storage "i". `visit_tensors` below walks
// in the same order.
std::string pickle_state(const Dict& state);

template <class Visitor>
void visit_tensors(const Dict& dict, Visitor&& visit) {
  for (const auto& [name, value] : dict.items()) {
    if (const auto* tensor = std::get_if<TensorView>(&value)) {
      visit(*tensor);
    } else {
      visit_tensors(*std::get<std::shared_ptr<const Dict>>(value), visit);
    }
  }
}

}  // namespace ts::checkpoint
