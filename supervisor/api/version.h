// The version that every program prints; the build defines it from project(VERSION).
#pragma once

namespace ts::api {

inline constexpr const char* kVersion = TS_VERSION;

// What the control API says in the header "Server" of every answer.
inline constexpr const char* kServer = "trainer-supervisor/" TS_VERSION;

}  // namespace ts::api
