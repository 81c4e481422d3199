# SPDX-License-Identifier: BSD-3-Clause
#
# Language, warnings, hardening and sanitizers: everything that is the same for all targets.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(BUILD_TESTING)
    enable_language(CXX)    # only to show that the public headers work there
endif()

add_compile_definitions(_GNU_SOURCE VU_PROJECT_VERSION="${PROJECT_VERSION}")

# Optimised builds hold no machine paths and can be reproduced; in the others a debugger
# wants them.
add_compile_options(
    -f$<IF:$<CONFIG:Debug>,macro,file>-prefix-map=${PROJECT_SOURCE_DIR}/=
    -fno-common
    -fstack-protector-strong
    -Wall -Wextra -Wshadow -Wpointer-arith -Wvla -Wundef
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>)
if(VFIO_USER_WERROR)
    add_compile_options(-Werror)
endif()

add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)

if(VFIO_USER_SANITIZE)
    add_compile_options(-fsanitize=${VFIO_USER_SANITIZE} -fno-sanitize-recover=all
        -fno-omit-frame-pointer -O1)
    add_link_options(-fsanitize=${VFIO_USER_SANITIZE})
else()
    # Sanitized shared objects take their run-time symbols from the program; others
    # must be complete. Fortified copies would hide accesses from a sanitizer.
    string(APPEND CMAKE_SHARED_LINKER_FLAGS " -Wl,-z,defs")
    add_compile_options(
        $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE>
        $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-D_FORTIFY_SOURCE=2>)
endif()

if(VFIO_USER_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "Fuzzers need clang and its run-time: "
            "apt-get install clang libclang-rt-14-dev, then cmake --preset fuzz")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)  # the fuzzers add -fsanitize=fuzzer
endif()

if(VFIO_USER_COVERAGE)
    add_compile_options(--coverage -fprofile-abs-path -fprofile-update=atomic)
    add_link_options(--coverage)
endif()
