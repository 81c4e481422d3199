/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The functions behind the mutant server's table of commands.
 *
 * Each is given a message and the reply in the making; it returns 0, or the negative errno
 * of the error reply. Bytes that it wrote to a reply which fails are not sent, except by
 * faults.
 */
#ifndef CT_MUTANTS_COMMANDS_H
#define CT_MUTANTS_COMMANDS_H

#include "conformance/mutants/server.h"

typedef int ct_handler(struct ct_client *c, struct vu_message *m, struct ct_reply *r);

ct_handler ct_on_version;
ct_handler ct_on_dma_map;
ct_handler ct_on_dma_unmap;
ct_handler ct_on_info;
ct_handler ct_on_region_info;
ct_handler ct_on_region_io_fds;
ct_handler ct_on_irq_info;
ct_handler ct_on_irq_set;
ct_handler ct_on_region_read;
ct_handler ct_on_region_write;
ct_handler ct_on_dma_read;
ct_handler ct_on_refused;
ct_handler ct_on_reset;
ct_handler ct_on_write_multi;
ct_handler ct_on_feature;

struct vu_reader ct_body_of(const struct vu_message *m);
/* Does the text occur in the body? For faults that look at JSON no closer than that. */
bool ct_mentions(const struct vu_message *m, const char *text);

#endif
