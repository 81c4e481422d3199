# SPDX-License-Identifier: BSD-3-Clause
#
# vu_add_test(NAME test_cursor SOURCES tests/test_cursor.c LIBS vfio-user-wire
#             [ARGS ...] [ENVIRONMENT A=b ...] [LABELS ...] [TIMEOUT s] [SIZE ci|long] [SERIAL])
#     A cmocka program, built to <build>/<folder>/tests/NAME and known to CTest as
#     <folder>/NAME. `cmake --build DIR --target <folder>-NAME` builds it alone.
#
# vu_add_script_test(NAME test_x SCRIPT tests/test_x.py [ARGS ...] and the rest as above)
#     A .py or .sh script. Exit status 77 means skipped, with the reason on its output.
#     The folder's own programs are named in ARGS as $<TARGET_FILE:...>.
#
# Both carry the label <folder>. SIZE leaves a test out of `make test`: ci is for .ci/run,
# long for `make test-long` (CTest: -C ci, -C long). TIMEOUT counts seconds without
# sanitizers, 60 when absent. With BUILD_TESTING off both do nothing, so that callers need
# no condition.
#
# Sanitized programs run through `setarch -R`: with much address randomisation the
# sanitizers' own start fails now and then. The personality is inherited, so what a script
# starts is covered too. Options in the caller's environment come after, and win over, ours.

if(NOT BUILD_TESTING)
    function(vu_add_test)
    endfunction()
    function(vu_add_script_test)
    endfunction()
    return()
endif()

enable_testing()

set(vu_test_wrapper)
set(vu_timeout_factor 1)
set(vu_test_environment PYTHONDONTWRITEBYTECODE=set:1)

if(VFIO_USER_SANITIZE)
    set(vu_timeout_factor 4)

    find_program(VU_SETARCH setarch)
    if(VU_SETARCH)
        execute_process(COMMAND ${VU_SETARCH} -R true
            RESULT_VARIABLE vu_setarch_result OUTPUT_QUIET ERROR_QUIET)
    endif()
    if(VU_SETARCH AND vu_setarch_result EQUAL 0)
        set(vu_test_wrapper ${VU_SETARCH} -R)
    else()
        message(WARNING "setarch -R does not work here; sanitized tests may fail to start")
    endif()

    # clang's run-times print names only when they find their own symbolizer.
    set(symbolizer)
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        string(REGEX MATCH "^[0-9]+" clang_major ${CMAKE_C_COMPILER_VERSION})
        find_program(VU_SYMBOLIZER llvm-symbolizer HINTS /usr/lib/llvm-${clang_major}/bin)
        if(VU_SYMBOLIZER)
            set(symbolizer :external_symbolizer_path=${VU_SYMBOLIZER})
        endif()
    endif()

    # handle_*=2: cmocka takes SIGSEGV and SIGBUS for itself, and there would be no report.
    list(APPEND vu_test_environment
        "ASAN_OPTIONS=path_list_prepend:detect_leaks=1:handle_segv=2:handle_sigbus=2:detect_stack_use_after_return=1${symbolizer}"
        "UBSAN_OPTIONS=path_list_prepend:halt_on_error=1:print_stacktrace=1${symbolizer}"
        "TSAN_OPTIONS=path_list_prepend:halt_on_error=1:second_deadlock_stack=1${symbolizer}")
endif()

# The folder of the caller, below the top: "wire", "libserver".
function(vu_test_folder out)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    set(${out} ${folder} PARENT_SCOPE)
endfunction()

# The part that both kinds of test share; T_* are the caller's parsed arguments.
macro(vu_register_test)
    vu_test_folder(folder)
    set(name ${folder}/${T_NAME})
    set(configurations)
    if(T_SIZE STREQUAL "ci")
        set(configurations CONFIGURATIONS ci long)
    elseif(T_SIZE STREQUAL "long")
        set(configurations CONFIGURATIONS long)
    elseif(T_SIZE)
        message(FATAL_ERROR "${name}: SIZE is ci or long")
    endif()
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 60)
    endif()
    math(EXPR timeout "${T_TIMEOUT} * ${vu_timeout_factor}")

    add_test(NAME ${name} ${configurations} COMMAND ${vu_test_wrapper} ${ARGN} ${T_ARGS})
    set_tests_properties(${name} PROPERTIES
        LABELS "${folder};${T_SIZE};${T_LABELS}"
        TIMEOUT ${timeout}
        SKIP_RETURN_CODE 77
        RUN_SERIAL ${T_SERIAL}
        ENVIRONMENT "${T_ENVIRONMENT}"
        ENVIRONMENT_MODIFICATION "${vu_test_environment}")
endmacro()

function(vu_add_test)
    cmake_parse_arguments(T "SERIAL" "NAME;TIMEOUT;SIZE"
        "SOURCES;LIBS;ARGS;ENVIRONMENT;LABELS" ${ARGN})
    if(NOT T_NAME OR NOT T_SOURCES OR T_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "vu_add_test(NAME ... SOURCES ...): ${ARGN}")
    endif()
    vu_test_folder(folder)
    set(target ${folder}-${T_NAME})
    add_executable(${target} ${T_SOURCES})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${T_NAME}
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/tests)
    target_link_libraries(${target} PRIVATE ${T_LIBS} cmocka)
    vu_register_test(${CMAKE_CURRENT_BINARY_DIR}/tests/${T_NAME})
endfunction()

function(vu_add_script_test)
    cmake_parse_arguments(T "SERIAL" "NAME;TIMEOUT;SIZE;SCRIPT"
        "ARGS;ENVIRONMENT;LABELS" ${ARGN})
    if(NOT T_NAME OR NOT T_SCRIPT OR T_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "vu_add_script_test(NAME ... SCRIPT ...): ${ARGN}")
    endif()
    if(T_SCRIPT MATCHES "\\.py$")
        set(interpreter ${VU_PYTHON3})
    else()
        set(interpreter sh)
    endif()
    vu_register_test(${interpreter} ${CMAKE_CURRENT_SOURCE_DIR}/${T_SCRIPT})
endfunction()
