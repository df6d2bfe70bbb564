# A Debian package of what `cmake --install` installs: cmake --build build/release --target deb
set(TS_MAINTAINER "trainer-supervisor maintainers <maintainers@trainer-supervisor.example>" CACHE STRING
    "Who answers for the package, as Name <address>")

set(packaging ${PROJECT_SOURCE_DIR}/packaging/deb)
set(CPACK_GENERATOR DEB)
set(CPACK_TS_PACKAGING ${packaging})
set(CPACK_PRE_BUILD_SCRIPTS ${packaging}/AddDebianFiles.cmake)
set(CPACK_PACKAGE_NAME trainer-supervisor)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "keeps one training run alive until it is finished")
set(CPACK_PACKAGE_DESCRIPTION
"Starts a training program as its child, listens to its heartbeats, and
relaunches it from the newest checkpoint that verifies: through crashes,
hangs, reboots, power cuts and full disks. Any program that speaks sd_notify
can be supervised; one comes along, a double DQN in C++ that learns to trade
an index.
.
Units for one run, for several and for users without root are installed;
none of them is enabled.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${TS_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The rest of the dependencies is computed from the programs.
set(CPACK_DEBIAN_PACKAGE_DEPENDS systemd)
if(BUILD_WORKER)
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libopenblas0-pthread)
endif()
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "elfutils | gdb")  # for the stacks of a worker that hangs
set(CPACK_DEBIAN_PACKAGE_CONFLICTS supervisor)       # which has a supervisorctl too
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packaging}/conffiles ${packaging}/postinst ${packaging}/prerm ${packaging}/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# What is packed is what was built last, so it is built here, and the tests are not.
set(CMAKE_SKIP_PACKAGE_ALL_DEPENDENCY ON)
include(CPack)
add_custom_target(deb COMMAND ${CMAKE_CPACK_COMMAND} --config ${PROJECT_BINARY_DIR}/CPackConfig.cmake
  WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM USES_TERMINAL)
add_dependencies(deb trainer-supervisor supervisorctl manuals)
if(BUILD_WORKER)
  add_dependencies(deb trainer)
endif()
