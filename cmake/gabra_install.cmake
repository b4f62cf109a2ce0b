# SPDX-License-Identifier: MIT
# Installs the libraries, their headers and the package files; tests/consumer builds against the result.
include(CMakePackageConfigHelpers)

get_property(libraries GLOBAL PROPERTY GABRA_LIBRARIES)
install(TARGETS ${libraries} EXPORT gabra_targets FILE_SET HEADERS)
if(TARGET gabra_command)
  install(TARGETS gabra_command)
endif()
install(EXPORT gabra_targets FILE gabra-targets.cmake NAMESPACE gabra::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gabra)
configure_package_config_file(cmake/gabra-config.cmake.in gabra-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gabra)
write_basic_package_version_file(gabra-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gabra-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/gabra-config-version.cmake"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gabra)
