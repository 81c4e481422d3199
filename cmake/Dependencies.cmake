# SPDX-License-Identifier: BSD-3-Clause
#
# What the project needs from the system, as targets json-c, lua and cmocka. All that is
# missing is reported at once, by Debian package.

find_program(PKG_CONFIG_EXECUTABLE NAMES pkg-config pkgconf)
if(NOT PKG_CONFIG_EXECUTABLE)
    message(FATAL_ERROR "pkg-config not found: apt-get install pkg-config")
endif()
find_package(PkgConfig REQUIRED)

set(vu_missing)

# vu_dependency(TARGET MODULE PACKAGE): an interface target from a pkg-config module.
function(vu_dependency target module package)
    pkg_check_modules(${target} QUIET IMPORTED_TARGET ${module})
    if(NOT ${target}_FOUND)
        set(vu_missing ${vu_missing} ${package} PARENT_SCOPE)
        message(NOTICE "${target} not found: apt-get install ${package}")
        return()
    endif()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE PkgConfig::${target})
endfunction()

vu_dependency(json-c json-c libjson-c-dev)
vu_dependency(lua lua5.4 liblua5.4-dev)
if(BUILD_TESTING)
    vu_dependency(cmocka cmocka libcmocka-dev)
    find_program(VU_PYTHON3 python3 HINTS /usr/bin)     # the system's, not a shim
    if(NOT VU_PYTHON3)
        list(APPEND vu_missing python3)
        message(NOTICE "python3 not found: apt-get install python3")
    endif()
endif()

if(vu_missing)
    list(JOIN vu_missing " " vu_missing)
    message(FATAL_ERROR "Missing: apt-get install ${vu_missing}\n"
        "(scripts/install-deps installs everything the build needs.)")
endif()

find_package(Threads REQUIRED)
