/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program of somebody who installed the libraries: their headers and nothing else.
 * test_install.py compiles it as C11 and as C++17, with USE_SERVER, USE_CLIENT or both,
 * and against the shared objects and the archives.
 *
 * The functions of each header are in a table that the test makes (API_TABLE, a list of
 * X(name)), so that one which is declared and cannot be linked is noticed.
 */
#ifdef USE_SERVER
#include <vfio-user/libvfio-user.h>
#include <vfio-user/pci_defs.h>
#endif
#ifdef USE_CLIENT
#include <vfio-user-client.h>
#endif

#include <stdio.h>

typedef void any_function(void);

#ifdef __cplusplus
/* An overloaded name has no address without a type; the C program covers those. */
#define X(name)
#else
#define X(name) (any_function *)name,
#endif

static any_function *const api[] = {
#include API_TABLE
    NULL,
};
#undef X

#ifdef USE_SERVER
/* Makes a device and unmakes it: the library runs, it was not only found. */
static int use_server(const char *socket)
{
    int private_data = 0;
    vfu_ctx_t *ctx = vfu_create_ctx(VFU_TRANS_SOCK, socket, LIBVFIO_USER_FLAG_ATTACH_NB,
                                    &private_data, VFU_DEV_TYPE_PCI);

    if (ctx == NULL) {
        perror("vfu_create_ctx");
        return 1;
    }
    if (vfu_get_private(ctx) != &private_data) {
        fprintf(stderr, "vfu_get_private: not what was given\n");
        return 1;
    }
    if (vfu_pci_init(ctx, VFU_PCI_TYPE_EXPRESS, PCI_HEADER_TYPE_NORMAL, 0) != 0) {
        perror("vfu_pci_init");
        return 1;
    }
    vfu_pci_set_id(ctx, 0x1234, 0x5678, 0, 0);
    if (vfu_realize_ctx(ctx) != 0) {
        perror("vfu_realize_ctx");
        return 1;
    }
    vfu_destroy_ctx(ctx);
    return 0;
}
#endif

int main(int argc, char **argv)
{
    size_t functions = 0;

    while (api[functions] != NULL)
        functions++;
    if (argc != 2) {
        fprintf(stderr, "usage: consumer SOCKET\n");
        return 2;
    }
#ifdef USE_SERVER
    if (use_server(argv[1]) != 0)
        return 1;
#else
    (void)argv;
#endif
    printf("%zu functions\n", functions);
    return 0;
}
