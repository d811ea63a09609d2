# SPDX-License-Identifier: Apache-2.0

# vmmi_man_page(PAGE MAN): makes the manual page NAME.N from NAME.N.scd, and puts its path into the variable MAN; nothing
# where there is no such file, or no scdoc.
function(vmmi_man_page page man)
  set(${man} "" PARENT_SCOPE)
  cmake_path(GET page STEM LAST_ONLY name)
  find_program(SCDOC scdoc)
  if(NOT EXISTS "${page}" OR NOT SCDOC)
    return()
  endif()
  set(made "${CMAKE_BINARY_DIR}/man/${name}")
  add_custom_command(OUTPUT "${made}" DEPENDS "${page}" VERBATIM
                     COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/man"
                     COMMAND sh -c "${SCDOC} < \"$1\" > \"$2\"" scdoc "${page}" "${made}")
  add_custom_target(man-${name} ALL DEPENDS "${made}")
  set(${man} "${made}" PARENT_SCOPE)
endfunction()

# vmmi_add_plugin(NAME [EXAMPLE])
#
# Makes the executable NAME from the folder of that name below plugins/, or from the current folder outside of this
# project: its C++ files, linked with the core. It is installed into libexec/vmmi with its man page vmmi-NAME.8 (from
# vmmi-NAME.8.scd, where scdoc is at hand), its README.md, its example.json, and configurations from a folder presets.
# EXAMPLE: built and tested, not installed.
function(vmmi_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "EXAMPLE" "" "")
  include(GNUInstallDirs)
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}/plugins/${name}")
  if(NOT IS_DIRECTORY "${folder}")
    set(folder "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()

  # The policy is an object library, so that tests link it without main().
  file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.cpp")
  set(main "${folder}/main.cpp")
  list(REMOVE_ITEM sources "${main}")
  add_library(vmmi-${name}-policy OBJECT ${sources})
  target_include_directories(vmmi-${name}-policy PUBLIC "${folder}")
  target_compile_definitions(vmmi-${name}-policy PRIVATE VMMI_PLUGIN_VERSION="${PROJECT_VERSION}")
  target_link_libraries(vmmi-${name}-policy PUBLIC vmmi::plugin)
  if(TARGET fmt::fmt-header-only)
    target_link_libraries(vmmi-${name}-policy PRIVATE fmt::fmt-header-only)
  endif()

  add_executable(vmmi-${name} "${main}")
  set_target_properties(vmmi-${name} PROPERTIES OUTPUT_NAME "${name}" RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  target_link_libraries(vmmi-${name} PRIVATE vmmi-${name}-policy)
  if(VMMI_LTO)
    target_compile_options(vmmi-${name}-policy PRIVATE -flto=auto -ffat-lto-objects)
    target_link_options(vmmi-${name} PRIVATE -flto=auto)
  endif()

  vmmi_man_page("${folder}/vmmi-${name}.8.scd" man)

  if(NOT arg_EXAMPLE)
    install(TARGETS vmmi-${name} DESTINATION "${CMAKE_INSTALL_LIBEXECDIR}/vmmi")
    if(man)
      install(FILES "${man}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man8")
    endif()
    foreach(file IN ITEMS README.md example.json)
      if(EXISTS "${folder}/${file}")
        install(FILES "${folder}/${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/vmmi/${name}")
      endif()
    endforeach()
    if(IS_DIRECTORY "${folder}/presets")
      install(DIRECTORY "${folder}/presets/" DESTINATION "${CMAKE_INSTALL_DATADIR}/vmmi/presets/${name}")
    endif()
  endif()
  set_property(GLOBAL APPEND PROPERTY VMMI_PLUGINS ${name})
endfunction()
