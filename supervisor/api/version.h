// The version that every program prints; the build defines it from project(VERSION).
#pragma once

namespace ts::api {

inline constexpr const char* kVersion = TS_VERSION;

}  // namespace ts::api
