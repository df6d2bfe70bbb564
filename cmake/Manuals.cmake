# Manual pages and completions, made by the programs themselves from what --help is made from; the page of the
# configuration is made from the annotated file.
set(TS_MANUALS ${PROJECT_BINARY_DIR}/manuals)
file(MAKE_DIRECTORY ${TS_MANUALS})

# ts_output(FILE PROGRAM ARGUMENT...): what the program prints, kept when it is made.
function(ts_output file program)
  add_custom_command(OUTPUT ${TS_MANUALS}/${file}
    COMMAND ${program} ${ARGN} > ${TS_MANUALS}/${file}.new
    COMMAND ${CMAKE_COMMAND} -E rename ${TS_MANUALS}/${file}.new ${TS_MANUALS}/${file}
    DEPENDS ${program} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY TS_MANUAL_FILES ${TS_MANUALS}/${file})
endfunction()

ts_output(supervisorctl.1 supervisorctl --man-page)
ts_output(trainer-supervisor.8 trainer-supervisor --man-page)
if(BUILD_WORKER)
  ts_output(trainer.1 trainer --man-page)
endif()
ts_output(supervisorctl.bash supervisorctl completion bash)
ts_output(supervisorctl.zsh supervisorctl completion zsh)
ts_output(supervisorctl.fish supervisorctl completion fish)
add_custom_command(OUTPUT ${TS_MANUALS}/trainer-supervisor.yaml.5
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/config_man_page.sh ${PROJECT_SOURCE_DIR}/config/config.yaml ${PROJECT_VERSION}
    > ${TS_MANUALS}/trainer-supervisor.yaml.5
  DEPENDS ${PROJECT_SOURCE_DIR}/config/config.yaml ${PROJECT_SOURCE_DIR}/scripts/config_man_page.sh VERBATIM)
get_property(TS_MANUAL_FILES GLOBAL PROPERTY TS_MANUAL_FILES)
add_custom_target(manuals ALL DEPENDS ${TS_MANUAL_FILES} ${TS_MANUALS}/trainer-supervisor.yaml.5)

install(FILES ${TS_MANUALS}/supervisorctl.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
if(BUILD_WORKER)
  install(FILES ${TS_MANUALS}/trainer.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(FILES ${TS_MANUALS}/trainer-supervisor.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES ${TS_MANUALS}/trainer-supervisor.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES ${TS_MANUALS}/supervisorctl.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME supervisorctl)
install(FILES ${TS_MANUALS}/supervisorctl.zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
  RENAME _supervisorctl)
install(FILES ${TS_MANUALS}/supervisorctl.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
