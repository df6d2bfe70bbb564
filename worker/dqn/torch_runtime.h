// libtorch as a whole: threads, determinism, devices, and the record of what a bit-exact resume needs to be equal.
// No libtorch in this header.
//
// Threading: set_up before anything else of libtorch is used.
#pragma once

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "common/base/result.h"

namespace ts::dqn {

// Sets thread counts (libtorch's and OpenBLAS's) and the deterministic switches, and seeds libtorch's own generator.
void set_up_torch(int threads, std::uint64_t seed);

// "auto", "cpu", "cuda", "cuda:1" -> the device's name, or a refusal (kind configuration) when it is not there.
Result<std::string> resolve_device(const std::string& wanted);

// {torch, threads, isa, blas, deterministic, device}.
boost::json::object describe_exactness(const std::string& device);

// libtorch's own CPU generator. Nothing of ours draws from it, but a layer like dropout would: it is state all the
// same.
std::vector<std::uint8_t> save_torch_generator();
Result<> restore_torch_generator(const std::vector<std::uint8_t>& bytes);

}  // namespace ts::dqn
