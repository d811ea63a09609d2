# SPDX-License-Identifier: Apache-2.0
# The SDK: headers, the libraries, and how CMake and pkg-config find them.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/vmmi")
install(TARGETS vmmi-plugin vmmi-simulator EXPORT vmmi-targets DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY include/vmmi DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT vmmi-targets NAMESPACE vmmi:: DESTINATION "${package_dir}")
configure_package_config_file(cmake/vmmi-config.cmake.in "${PROJECT_BINARY_DIR}/vmmi-config.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/vmmi-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/vmmi-config.cmake" "${PROJECT_BINARY_DIR}/vmmi-config-version.cmake"
              cmake/VmmiPlugin.cmake
        DESTINATION "${package_dir}")

# The supervisor library: a package of its own, since its callers need nothing else of this project.
install(TARGETS vmmi-supervisor EXPORT libvmmi-targets DESTINATION "${CMAKE_INSTALL_LIBDIR}")
set(libvmmi_dir "${CMAKE_INSTALL_LIBDIR}/cmake/libvmmi")
install(EXPORT libvmmi-targets NAMESPACE vmmi:: FILE libvmmi-config.cmake DESTINATION "${libvmmi_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/libvmmi-config-version.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${PROJECT_BINARY_DIR}/libvmmi-config-version.cmake" DESTINATION "${libvmmi_dir}")

# Found from where the file lies, so that the installed tree can be moved.
file(RELATIVE_PATH pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
configure_file(cmake/vmmi-plugin.pc.in "${PROJECT_BINARY_DIR}/vmmi-plugin.pc" @ONLY)
configure_file(cmake/libvmmi.pc.in "${PROJECT_BINARY_DIR}/libvmmi.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/vmmi-plugin.pc" "${PROJECT_BINARY_DIR}/libvmmi.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(DIRECTORY src/message/schema/ DESTINATION "${CMAKE_INSTALL_DATADIR}/vmmi/schema")
install(FILES README.md LICENSE SPEC.md DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/vmmi")
