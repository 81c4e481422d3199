/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfu reset: puts a device into its initial state.
 */
#include "tools/tool.h"

#include <stdio.h>

static int reset(const struct tool_call *call, struct vfuc_client *dev)
{
    const struct vfuc_device *device;
    int err = vfuc_device_info(dev, &device);

    if (err != 0)
        return tool_client_fail(call, dev, err, "what the device is");
    if ((device->flags & VFUC_DEVICE_RESET) == 0 && !tool_given(call, 'f'))
        return tool_fail(call, TOOL_REFUSED,
                         "the device does not offer a reset (--force asks all the same)");
    err = vfuc_reset(dev);
    if (err != 0)
        return tool_client_fail(call, dev, err, "resetting the device");
    printf("%s: the device has been reset\n", call->argv[0]);
    return 0;
}

static int run(struct tool_call *call)
{
    struct vfuc_client *dev;
    int status = tool_connect(call, call->argv[0], NULL, &dev);

    if (status != 0)
        return status;
    status = reset(call, dev);
    vfuc_close(dev);
    return status;
}

static const struct tool_option options[] = {
    { 'f', "force", NULL, "also if the device does not say that it can" },
    { 0 },
};

const struct tool_command tool_cmd_reset = {
    .name = "reset",
    .usage = "SOCKET",
    .summary = "put the device into its initial state",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
