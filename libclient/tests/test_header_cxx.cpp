/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The public header in C++17: compiles, links, and the options can be set.
 */
#include <vfio-user-client.h>

#include <cerrno>
#include <cstdio>

static int check(bool ok, const char *claim)
{
    if (!ok)
        std::fprintf(stderr, "failed: %s\n", claim);
    return ok ? 0 : 1;
}

int main()
{
    char why[100] = "";
    vfuc_options options{};
    vfuc_client *client = nullptr;
    int failures = 0;

    options.size = sizeof(options);
    options.error = why;
    options.error_len = sizeof(why);
    failures += check(vfuc_connect("/nonexistent/socket", &options, &client) == -ENOENT,
                      "a missing socket is -ENOENT");
    failures += check(why[0] != '\0', "there is a sentence");
    failures += check(client == nullptr, "nothing was made");
    options.max_msg_fds = 254;
    failures += check(vfuc_connect("/nonexistent/socket", &options, &client) == -EINVAL,
                      "options are checked first");
    vfuc_close(nullptr);
    return failures;
}
