# Runs at install time: fills the prefix into the unit and the system's configuration, and installs them.
# Input: TS_SOURCE_DIR, TS_BINARY_DIR, and the folders TS_BIN, TS_LIBEXEC, TS_DATA, TS_DOC, TS_SYSCONF (see Install.cmake).
foreach(folder BIN LIBEXEC DATA DOC SYSCONF)
  # Relative ones are below the prefix.
  get_filename_component(TS_${folder}_DIR "${TS_${folder}}" ABSOLUTE BASE_DIR "${CMAKE_INSTALL_PREFIX}")
endforeach()
# The system's own prefixes have their configuration in /etc, where systemd makes the directory too.
if(CMAKE_INSTALL_PREFIX MATCHES "^/usr(/local)?/?$" AND TS_SYSCONF STREQUAL "etc")
  set(TS_SYSCONF_DIR /etc)
endif()
set(config_dir "${TS_SYSCONF_DIR}/trainer-supervisor")
set(TS_CONFIG_FILE "${config_dir}/config.yaml")

set(made "${TS_BINARY_DIR}/installed")
configure_file("${TS_SOURCE_DIR}/systemd/trainer-supervisor.service.in" "${made}/trainer-supervisor.service" @ONLY)
configure_file("${TS_SOURCE_DIR}/config/system.yaml.in" "${made}/config.yaml" @ONLY)

file(INSTALL "${made}/trainer-supervisor.service" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")
if(EXISTS "$ENV{DESTDIR}${TS_CONFIG_FILE}")
  message(STATUS "Left as it is: $ENV{DESTDIR}${TS_CONFIG_FILE}")
else()
  file(INSTALL "${made}/config.yaml" DESTINATION "${config_dir}")
endif()
