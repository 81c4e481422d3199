# SPDX-License-Identifier: BSD-3-Clause
#
# vu_add_library(NAME vfio-user MAP libvfio-user.map VERSION 0.0.1 SOURCES ...
#                API_HEADER libvfio-user.h PUBLIC_HEADERS ...
#                HEADER_BASE dir HEADER_DESTINATION dir)
#
# Makes and installs one public library, from sources compiled once:
#   NAME            the shared object; SOVERSION is the first number of VERSION, and MAP
#                   says which symbols leave it
#   NAME-static     the archive; a program links it with the archive of wire
# API_HEADER declares the public functions: its declarations alone have default visibility.
# The pragma that says so stays out of the header, since it means nothing to its users, and
# is included ahead of each source instead.
#
# PUBLIC_HEADERS are relative to the calling folder. They are installed under
# HEADER_DESTINATION, keeping their path below HEADER_BASE. NAME.pc.in, beside the caller,
# becomes NAME.pc. Programs of this build that link either target find the headers.

function(vu_add_library)
    cmake_parse_arguments(L "" "NAME;MAP;VERSION;API_HEADER;HEADER_BASE;HEADER_DESTINATION"
        "SOURCES;PUBLIC_HEADERS" ${ARGN})
    set(map ${CMAKE_CURRENT_SOURCE_DIR}/${L_MAP})
    set(base ${CMAKE_CURRENT_SOURCE_DIR}/${L_HEADER_BASE})
    string(REGEX MATCH "^[0-9]+" soversion ${L_VERSION})

    add_library(${L_NAME}-objects OBJECT ${L_SOURCES})
    add_library(${L_NAME} SHARED $<TARGET_OBJECTS:${L_NAME}-objects>)
    add_library(${L_NAME}-static STATIC $<TARGET_OBJECTS:${L_NAME}-objects>)
    set_target_properties(${L_NAME} PROPERTIES
        VERSION ${L_VERSION} SOVERSION ${soversion} LINK_DEPENDS ${map})
    set_target_properties(${L_NAME}-static PROPERTIES OUTPUT_NAME ${L_NAME})
    target_link_options(${L_NAME} PRIVATE -Wl,--version-script=${map})
    foreach(target ${L_NAME}-objects ${L_NAME} ${L_NAME}-static)
        target_include_directories(${target} PUBLIC ${base})
        target_link_libraries(${target} PRIVATE vfio-user-wire Threads::Threads)
    endforeach()

    set(visible ${CMAKE_CURRENT_BINARY_DIR}/visible.h)
    set(API_HEADER ${base}/${L_API_HEADER})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/visible.h.in ${visible} @ONLY)
    target_compile_options(${L_NAME}-objects PRIVATE
        "$<$<COMPILE_LANGUAGE:C>:SHELL:-include ${visible}>")

    install(TARGETS ${L_NAME} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(TARGETS ${L_NAME}-static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    foreach(header ${L_PUBLIC_HEADERS})
        file(RELATIVE_PATH below ${base} ${CMAKE_CURRENT_SOURCE_DIR}/${header})
        cmake_path(GET below PARENT_PATH folder)
        install(FILES ${header} DESTINATION ${L_HEADER_DESTINATION}/${folder})
    endforeach()
    configure_file(${L_NAME}.pc.in ${L_NAME}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${L_NAME}.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
