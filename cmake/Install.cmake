# cmake --install: the programs, the service, its configuration, the documents. DESTDIR is honoured, and so is a --prefix
# given only then: the files with paths in them are filled in by InstallSystem.cmake, which runs at that time.
include(GNUInstallDirs)

install(TARGETS trainer-supervisor supervisorctl RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(BUILD_WORKER)
  install(TARGETS trainer RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(PROGRAMS systemd/end-leftovers.sh DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/${PROJECT_NAME} RENAME end-leftovers)
install(FILES data/sp500-daily.csv DESTINATION ${CMAKE_INSTALL_DATADIR}/${PROJECT_NAME})
install(FILES data/README.md DESTINATION ${CMAKE_INSTALL_DATADIR}/${PROJECT_NAME})
install(FILES README.md CHANGELOG.md LICENSE config/config.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "*.yaml" PATTERN "*.json")
# At the path that the configurations name for their workers, from the directory above.
install(DIRECTORY config/examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/config/examples USE_SOURCE_PERMISSIONS
  PATTERN "__pycache__" EXCLUDE)
install(FILES systemd/gpu.conf DESTINATION ${CMAKE_INSTALL_DOCDIR}/systemd)
install(FILES systemd/trainer-supervisor.sysusers DESTINATION lib/sysusers.d RENAME trainer-supervisor.conf)

install(CODE "set(TS_SOURCE_DIR \"${PROJECT_SOURCE_DIR}\")
set(TS_BINARY_DIR \"${PROJECT_BINARY_DIR}\")
set(TS_BIN \"${CMAKE_INSTALL_BINDIR}\")
set(TS_LIBEXEC \"${CMAKE_INSTALL_LIBEXECDIR}/${PROJECT_NAME}\")
set(TS_DATA \"${CMAKE_INSTALL_DATADIR}/${PROJECT_NAME}\")
set(TS_DOC \"${CMAKE_INSTALL_DOCDIR}\")
set(TS_SYSCONF \"${CMAKE_INSTALL_SYSCONFDIR}\")")
install(SCRIPT cmake/InstallSystem.cmake)
