# Runs within cpack, after the files were installed to be packed and before they are: adds what only a Debian package
# has, so that cmake --install stays free of it. Input: cpack's variables and CPACK_TS_PACKAGING, this folder.
set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
set(doc "${root}/usr/share/doc/trainer-supervisor")

# Without these cpack would only warn, and make a package without dependencies.
foreach(tool dpkg-shlibdeps file gzip)
  find_program(found_${tool} ${tool})
  if(NOT found_${tool})
    message(FATAL_ERROR "The program ${tool} is missing, which a Debian package is made with: apt-get install dpkg-dev file gzip")
  endif()
endforeach()

file(REMOVE "${doc}/LICENSE")  # the copyright file says where Debian keeps it
file(COPY "${CPACK_TS_PACKAGING}/copyright" DESTINATION "${doc}")
file(MAKE_DIRECTORY "${root}/usr/share/lintian/overrides")
configure_file("${CPACK_TS_PACKAGING}/lintian-overrides" "${root}/usr/share/lintian/overrides/trainer-supervisor" COPYONLY)
# SOURCE_DATE_EPOCH, where it is set, decides the date.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file("${CPACK_TS_PACKAGING}/changelog.in" "${doc}/changelog" @ONLY)
file(GLOB manuals "${root}/usr/share/man/man*/*.[1-8]")
execute_process(COMMAND gzip -9nf "${doc}/changelog" ${manuals} COMMAND_ERROR_IS_FATAL ANY)
