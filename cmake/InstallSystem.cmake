# Runs at install time: fills the prefix into the units and their configurations, and installs them.
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
set(made "${TS_BINARY_DIR}/installed")

# ---- units: one text of what a supervised run needs, in all of them
configure_file("${TS_SOURCE_DIR}/systemd/supervision.conf.in" "${made}/supervision.conf" @ONLY)
file(READ "${made}/supervision.conf" TS_SUPERVISION)
string(STRIP "${TS_SUPERVISION}" TS_SUPERVISION)

# system_unit(NAME CONFIG DESCRIPTION SENTENCE)
function(system_unit TS_UNIT TS_UNIT_CONFIG TS_UNIT_DESCRIPTION TS_UNIT_SENTENCE)
  configure_file("${TS_SOURCE_DIR}/systemd/trainer-supervisor.service.in" "${made}/${TS_UNIT}.service" @ONLY)
  file(INSTALL "${made}/${TS_UNIT}.service" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")
endfunction()
system_unit(trainer-supervisor "${config_dir}/config.yaml" "Training run under trainer-supervisor"
  "One training run, kept alive until it is finished, on a machine without a GPU.")
system_unit(trainer-supervisor@ "${config_dir}/%i.yaml" "Training run %i under trainer-supervisor"
  "One of several training runs of a machine: trainer-supervisor@NAME reads ${config_dir}/NAME.yaml.")
configure_file("${TS_SOURCE_DIR}/systemd/trainer-supervisor-user.service.in" "${made}/user/trainer-supervisor.service" @ONLY)
file(INSTALL "${made}/user/trainer-supervisor.service" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/user")

# leftovers_unit(FOLDER MANAGER LINE...): the lines are of those that only the system's systemd can keep to.
function(leftovers_unit folder TS_MANAGER)
  string(JOIN "\n" TS_ROOT_ONLY ${ARGN})
  set(unit "trainer-supervisor-leftovers@.service")
  configure_file("${TS_SOURCE_DIR}/systemd/trainer-supervisor-leftovers.service.in" "${made}/${folder}/${unit}" @ONLY)
  file(INSTALL "${made}/${folder}/${unit}" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/${folder}")
endfunction()
leftovers_unit(system --system CapabilityBoundingSet=CAP_KILL ProtectSystem=strict ProtectHome=yes PrivateDevices=yes PrivateTmp=yes
  PrivateNetwork=yes IPAddressDeny=any ProtectKernelTunables=yes ProtectKernelModules=yes ProtectKernelLogs=yes
  ProtectControlGroups=yes ProtectClock=yes ProtectHostname=yes KeyringMode=private)
leftovers_unit(user --user)

# ---- configurations: one in place, and one to copy for each other kind of unit
# configuration(FILE UNIT CONFIG SYSTEMCTL STATE LOGS SOCKET NOTE): NAME and HOME in it are for the user to fill in.
function(configuration file TS_UNIT TS_UNIT_CONFIG TS_SYSTEMCTL TS_STATE TS_LOGS TS_SOCKET TS_NOTE)
  configure_file("${TS_SOURCE_DIR}/config/system.yaml.in" "${made}/${file}" @ONLY)
endfunction()
set(note "# The service may write only below the directories named here, and sees no home directory.")
set(unit trainer-supervisor)
configuration(config.yaml ${unit} "${config_dir}/config.yaml" systemctl /var/lib/${unit} /var/log/${unit}
  /run/${unit}/control.sock "${note}")
set(unit trainer-supervisor@NAME)
configuration(run.yaml ${unit} "${config_dir}/NAME.yaml" systemctl /var/lib/${unit} /var/log/${unit}
  /run/${unit}/control.sock "${note}")
set(state HOME/.local/state/trainer-supervisor)
configuration(user.yaml trainer-supervisor HOME/.config/trainer-supervisor/config.yaml "systemctl --user" ${state} ${state}/logs
  ${state}/control.sock "# The service may do what its user may.")
file(INSTALL "${made}/run.yaml" "${made}/user.yaml" DESTINATION "${TS_DATA_DIR}")
if(EXISTS "$ENV{DESTDIR}${config_dir}/config.yaml")
  message(STATUS "Left as it is: $ENV{DESTDIR}${config_dir}/config.yaml")
else()
  file(INSTALL "${made}/config.yaml" DESTINATION "${config_dir}")
endif()
