// Finding from a command line whom to ask and which configuration is meant.
#include "supervisor/ctl/arguments.h"

#include <gtest/gtest.h>

#include "supervisor/ctl/sockets.h"

namespace ts::ctl {
namespace {

TEST(TheConfigurationThatIsMeant, IsTheOneHereElseTheServices) {
  const std::string here = "config/config.yaml";
  const std::string service = "/etc/trainer-supervisor/config.yaml";
  EXPECT_EQ(default_config_file([](const std::string&) { return true; }), here);
  EXPECT_EQ(default_config_file([&](const std::string& file) { return file == service; }), service);
  EXPECT_EQ(default_config_file([&](const std::string& file) { return file == here; }), here);
  // The one that a person who has neither is told about.
  EXPECT_EQ(default_config_file([](const std::string&) { return false; }), here);
}

TEST(TheSocketsThatAreServed, AreThoseThatSomebodyListensOn) {
  constexpr const char* kTable =
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 21313 models/.supervisor/control.sock\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03 21320 connected/control.sock\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 21321 /run/with blanks/control.sock\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 21322 @abstract/control.sock.not\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01 21323\n"
      "half a line\n";
  EXPECT_EQ(control_sockets_in(kTable),
            (std::vector<std::string>{"models/.supervisor/control.sock", "/run/with blanks/control.sock"}));
  EXPECT_TRUE(control_sockets_in("").empty());
}

}  // namespace
}  // namespace ts::ctl
