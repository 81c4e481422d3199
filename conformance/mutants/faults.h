/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that the mutant server can do wrong, as data; and what it can do otherwise.
 *
 * Each row breaks one requirement of the catalogue. run-mutants reads the table
 * through `mutant-server --list`, runs the cases of the requirement against the
 * broken server, and wants them to fail with the given words. A fault is made as narrow as
 * its requirement lets it be (one command, one value), so that it turns few
 * other cases red; those that it cannot help hitting are named in `also` ("*": all).
 *
 *   X(name, requirement, words in the failing message, also, what the server does)
 */
#ifndef CT_MUTANTS_FAULTS_H
#define CT_MUTANTS_FAULTS_H

#include <stdbool.h>

#define FAULTS(X) \
    FAULTS_HDR(X) FAULTS_VER(X) FAULTS_INFO(X) FAULTS_REG(X) FAULTS_RW(X) FAULTS_CONN(X)

/* clang-format off */
#define FAULTS_HDR(X) \
X(fields_swapped, "HDR-01", "displaced", "HDR-03,HDR-21", \
  "replies to GET_REGION_IO_FDS have msg_id and command in each other's place") \
X(id_cut, "HDR-02", "msg_id", "", \
  "replies carry 15 bits of the msg_id") \
X(error_command, "HDR-03", "command", "HDR-01,HDR-19,HDR-21", \
  "error replies to SET_IRQS say command 0") \
X(type_0, "HDR-04", "Type", "HDR-01,HDR-22", \
  "replies to GET_IRQ_INFO have Type 0") \
X(size_of_body, "HDR-05", "msg_size", "HDR-01,HDR-03,HDR-04,HDR-11,HDR-13,HDR-14,HDR-22", \
  "msg_size of replies to GET_IRQ_INFO leaves the header out") \
X(no_reply_answered, "HDR-06", "no answer to", "", \
  "successful commands with No_reply are answered") \
X(no_reply_error, "HDR-07", "no answer to", "", \
  "failed commands with No_reply are answered") \
X(no_reply_dropped, "HDR-08", "not executed", "CONN-02", \
  "commands with No_reply are not executed") \
X(error_without_type, "HDR-09", "flags", "HDR-01,HDR-04,HDR-19,HDR-21", \
  "errors of GET_IRQ_INFO have flags 0x20") \
X(error_with_body, "HDR-10", "16 bytes", "HDR-05", \
  "errors of DMA_UNMAP carry the 24 bytes of a success") \
X(success_with_error, "HDR-11", "Error bit", "HDR-05,HDR-22", \
  "successful replies to GET_IRQ_INFO have the Error bit") \
X(negative_errno, "HDR-12", "errno", "", \
  "errors of DMA_UNMAP hold a negative number") \
X(success_errno, "HDR-13", "error field", "", \
  "successful replies to GET_IRQ_INFO have an error value") \
X(reserved_set, "HDR-14", "reserved", "", \
  "all replies but the one to VERSION have flag bit 6 set") \
X(reserved_mute, "HDR-15", "no answer", "", \
  "commands with reserved flag bits are not answered") \
X(error_bit_mute, "HDR-16", "no answer", "", \
  "commands with the Error bit or an error value are not answered") \
X(same_id_dropped, "HDR-17", "replies", "", \
  "a command with the msg_id of the one before it is not answered") \
X(tiny_size_ignored, "HDR-18", "neither", "", \
  "a msg_size below 16 gives no answer and no close") \
X(bare_header_served, "HDR-19", "bare header", "HDR-21", \
  "GET_IRQ_INFO without a body is served as index 0") \
X(oversize_body_parsed, "HDR-20", "parsed", "", \
  "what follows a refused oversize header is taken for the next message") \
X(short_body_served, "HDR-21", "body of", "", \
  "GET_REGION_INFO is served from 12 bytes of body on") \
X(padding_refused, "HDR-22", "padded", "", \
  "GET_REGION_INFO with bytes behind the structure is refused") \
X(unknown_mute, "HDR-23", "command", "", \
  "unknown commands are not answered") \
X(unknown_not_drained, "HDR-23", "parsed", "", \
  "the body of an unknown command is taken for the next message") \
X(dma_read_served, "HDR-24", "data", "", \
  "DMA_READ sent to the server is answered with data") \
X(reply_answered, "HDR-25", "answered", "", \
  "a message of Type reply is answered with an error") \
X(any_type_served, "HDR-26", "executed", "", \
  "messages of Type 2 to 15 are executed as commands") \
X(fragments_lost, "HDR-27", "pieces", "HDR-28,RW-10,CONN-03,CONN-01,RW-09", \
  "a read that ends inside a message drops the connection") \
X(header_alone_refused, "HDR-28", "apart", "HDR-27", \
  "a header whose body has not arrived yet is answered with an error") \
X(one_per_read, "HDR-29", "of 10", "HDR-06,HDR-07,HDR-17,HDR-23,HDR-25,HDR-26,RW-18,CONN-01,CONN-02,CONN-03", \
  "only the first message of each read is served")

#define FAULTS_VER(X) \
X(version_empty, "VER-02", "VERSION reply", "*", \
  "the VERSION reply has no body") \
X(version_short, "VER-02", "VERSION reply", "VER-03,VER-04,VER-05", \
  "a proposal of minor 0 is answered with major alone") \
X(major_one, "VER-03", "major", "*", \
  "the VERSION reply says major 1") \
X(major_changed, "VER-03", "major", "VER-04,VER-05", \
  "a proposal of a minor above ours is answered with major 1") \
X(minor_ours, "VER-04", "minor", "*", \
  "the VERSION reply says our own minor, whatever was proposed") \
X(minor_high_refused, "VER-04", "refused", "VER-03,VER-05", \
  "a minor above ours is refused") \
X(minor_raised, "VER-04", "minor", "VER-05", \
  "a proposal of minor 0 is answered with minor 1") \
X(minor_gap, "VER-05", "got: VERSION error", "", \
  "minor 3 is refused though 4 is spoken") \
X(any_major, "VER-06", "major", "", \
  "every major is accepted") \
X(data_needed, "VER-07", "without version data", "VER-03,VER-09,VER-11,VER-19", \
  "VERSION without version data is refused") \
X(empty_object, "VER-08", "{}", "VER-09,VER-11", \
  "an empty JSON object is refused") \
X(empty_capabilities, "VER-08", "capabilities", "*", \
  "an empty capabilities object is refused") \
X(nul_missing, "VER-09", "NUL", "*", \
  "version data lacks its NUL") \
X(no_nul, "VER-09", "NUL", "VER-11", \
  "version data answered to a silent client lacks its NUL") \
X(nul_not_needed, "VER-10", "without NUL", "", \
  "version data without NUL is accepted") \
X(json_list, "VER-11", "object", "*", \
  "version data is a list") \
X(json_array, "VER-11", "object", "", \
  "version data answered to a silent client is a list") \
X(bad_json, "VER-12", "accepted", "", \
  "malformed JSON counts as no version data") \
X(empty_string_crash, "VER-12", "SIG", "", \
  "version data of a lone NUL crashes the server") \
X(wrong_types, "VER-13", "accepted", "", \
  "known capabilities of the wrong type are ignored") \
X(unknown_refused, "VER-14", "unknown", "VER-15", \
  "proposals with unknown capabilities are refused") \
X(unknown_echoed, "VER-15", "x-test", "", \
  "unknown capabilities come back") \
X(feature_unasked, "VER-16", "write_multiple", "", \
  "write_multiple is answered to a client that did not propose it") \
X(no_dma_maps, "VER-17", "max_dma_maps", "", \
  "max_dma_maps is answered as 0") \
X(small_pages, "VER-18", "pgsizes", "", \
  "pgsizes has a bit below 4096") \
X(two_fds_unasked, "VER-19", "descriptors", "VER-20", \
  "region info has two descriptors for a client that did not say max_msg_fds") \
X(two_fds, "VER-20", "descriptors", "VER-19", \
  "region info has two descriptors for a client that takes one") \
X(fds_over_limit, "VER-20", "descriptors", "VER-21", \
  "a max_msg_fds of 0 is forgotten") \
X(no_fds_mute, "VER-21", "neither", "VER-20", \
  "a proposal of max_msg_fds 0 gets no answer") \
X(odd_number_crash, "VER-22", "SIG", "", \
  "a capability that is negative, fractional or large crashes the server") \
X(fds_wrap, "VER-22", "4294967296", "", \
  "max_msg_fds is kept in 32 bits") \
X(long_version, "VER-24", "4096", "", \
  "the VERSION reply is larger than 4 KiB") \
X(version_fd, "VER-25", "descriptor", "VER-31", \
  "the VERSION reply carries a descriptor nobody asked for") \
X(version_fd_kept, "VER-26", "kept", "", \
  "descriptors sent with VERSION stay open") \
X(version_few_bytes, "VER-27", "bytes", "", \
  "a VERSION body below 4 bytes is filled up with zeros") \
X(version_not_first, "VER-28", "executed", "CONN-14", \
  "commands are executed before VERSION") \
X(version_again, "VER-29", "second VERSION", "", \
  "a second VERSION replaces what was negotiated") \
X(version_no_reply, "VER-30", "answered", "", \
  "VERSION with No_reply is answered") \
X(twin_forced, "VER-31", "twin", "", \
  "twin-socket is enabled though the client said supported: false") \
X(twin_index, "VER-32", "fd_index", "", \
  "fd_index points behind the descriptors of the VERSION reply") \
X(twin_pipe, "VER-32", "socket", "", \
  "the descriptor for the twin socket is a pipe") \
X(twin_declined_hard, "VER-33", "closed", "VER-32,VER-24", \
  "a proposal of twin-socket ends the connection")

#define FAULTS_INFO(X) \
X(info_argsz, "INFO-01", "argsz", "", \
  "argsz of device info is 24 when 16 was offered") \
X(info_argsz_echo, "INFO-02", "argsz", "", \
  "argsz of device info repeats a larger request") \
X(info_truncated, "INFO-03", "argsz", "", \
  "device info is cut to an argsz below 16") \
X(not_pci, "INFO-04", "PCI", "", \
  "the PCI flag is clear") \
X(info_flags, "INFO-05", "undefined", "", \
  "an undefined device flag is set") \
X(reset_refused, "INFO-06", "RESET", "", \
  "DEVICE_RESET fails though RESET is set") \
X(few_regions, "INFO-07", "num_regions", "", \
  "num_regions is 7") \
X(few_irqs, "INFO-08", "num_irqs", "", \
  "num_irqs is 2") \
X(endless_irqs, "INFO-12", "too many", "INFO-09", \
  "num_irqs is 0xffffffff") \
X(many_irqs, "INFO-09", "num_irqs", "", \
  "num_irqs is 60") \
X(info_unstable, "INFO-10", "differ", "", \
  "the RESET flag disappears with the fourth query") \
X(absent_region_refused, "INFO-11", "region 5", "REG-01,REG-07", \
  "region info of an absent region fails, asked with argsz 32") \
X(absent_irq_refused, "INFO-12", "irq 1", "", \
  "irq info of an absent type fails") \
X(info_echo, "INFO-13", "request", "", \
  "flags of the request appear in device info")

#define FAULTS_REG(X) \
X(region_index, "REG-01", "index", "", \
  "the index in region info is 0 when argsz is 32") \
X(region_argsz, "REG-02", "argsz", "REG-03", \
  "argsz of region info leaves the chain out") \
X(argsz_ignored, "REG-03", "CAPS", "REG-01,REG-04,REG-10", \
  "the chain is sent whether it fits or not") \
X(cap_offset_left, "REG-04", "cap_offset", "", \
  "cap_offset is set though the chain was left out") \
X(region_truncated, "REG-05", "argsz", "", \
  "region info is cut to an argsz below 32") \
X(region_past_end, "REG-06", "index", "", \
  "region info of index num_regions succeeds") \
X(absent_flags, "REG-07", "flags", "", \
  "absent regions have flags READ and WRITE") \
X(region_flags, "REG-08", "undefined", "", \
  "region 0 has an undefined flag") \
X(mmap_without_fd, "REG-09", "descriptor", "REG-12,REG-26,VER-22,VER-29", \
  "region 1 has MMAP and comes without a descriptor") \
X(mmap_without_fd_cut, "REG-10", "descriptor", "", \
  "no descriptor comes when the chain does not fit") \
X(fd_without_mmap, "REG-11", "descriptor", "", \
  "region 0 comes with a descriptor though MMAP is clear") \
X(map_read_only, "REG-12", "mapped", "REG-26", \
  "the descriptor of region 1 is open for reading only") \
X(map_past_end, "REG-12", "not there", "REG-26", \
  "the offset of region 1 lies behind its file") \
X(caps_without_cap, "REG-14", "CAPS", "", \
  "region 0 has CAPS and no capability") \
X(chain_loops, "REG-15", "chain", "REG-17", \
  "next of the sparse capability of region 2 names itself") \
X(cap_misaligned, "REG-16", "aligned", "REG-02,REG-03,REG-15,REG-17,REG-14", \
  "the chain of region 2 starts at 36") \
X(areas_beyond, "REG-17", "nr_areas", "REG-12,REG-18,REG-19", \
  "nr_areas of region 2 is larger than the capability") \
X(area_outside, "REG-18", "outside", "REG-12", \
  "an area of region 2 lies behind its end") \
X(areas_overlap, "REG-19", "overlap", "", \
  "the areas of region 2 overlap") \
X(area_unaligned, "REG-19", "page", "REG-12", \
  "an area of region 2 does not start at a page") \
X(sparse_without_mmap, "REG-20", "MMAP", "", \
  "region 9 has a sparse capability without MMAP") \
X(no_type, "REG-21", "TYPE", "", \
  "region 9 has no TYPE capability") \
X(sparse_fds_unasked, "REG-22", "0x8001", "REG-09,REG-10,REG-12,REG-17,REG-18,REG-19", \
  "region 2 has the per-area capability though nobody proposed it") \
X(sparse_fds_index, "REG-22", "fd_index", "", \
  "fd_index of the per-area capability points behind the descriptors") \
X(region_unstable, "REG-23", "differ", "", \
  "the offset of region 0 changes with each connection") \
X(region_reset, "REG-23", "differ", "", \
  "the offset of region 0 changes with each reset") \
X(region_enable, "REG-24", "differ", "", \
  "region 0 has size 0 while memory access is off") \
X(region_echo, "REG-25", "request", "", \
  "flags of the request appear in the info of region 0") \
X(region_fd_leak, "REG-26", "descriptor", "", \
  "from the 1000th query of region 1 on its descriptor is duplicated and kept")

#define FAULTS_RW(X) \
X(read_region, "RW-01", "region", "", \
  "replies to reads of 64 bytes say region 0") \
X(write_data, "RW-02", "msg_size", "", \
  "replies to writes carry the data") \
X(mapped_only, "RW-03", "mappable", "", \
  "mappable regions refuse access by message") \
X(read_count, "RW-04", "count", "RW-01", \
  "replies to reads of 64 bytes from the configuration say 63") \
X(read_past_regions, "RW-05", "region", "", \
  "access to region num_regions succeeds") \
X(read_past_end, "RW-06", "size", "", \
  "reads behind the end give zeros") \
X(offset_wraps, "RW-07", "offset", "", \
  "offset + count is added in 64 bits") \
X(absent_read, "RW-08", "size 0", "", \
  "reads of absent regions give zeros") \
X(count_over_limit, "RW-09", "max_data_xfer_size", "", \
  "reads above the limit give what there is") \
X(count_at_limit, "RW-10", "max_data_xfer_size", "", \
  "reads above 64 KiB are refused") \
X(write_short, "RW-11", "short", "", \
  "a write with less data than count succeeds") \
X(write_surplus, "RW-12", "surplus", "", \
  "a write with more data than count writes all of it") \
X(read_surplus_parsed, "RW-13", "parsed", "", \
  "what follows a read request is taken for the next message") \
X(empty_reply, "RW-14", "16", "", \
  "a zero-length access is answered without payload") \
X(write_only_read, "RW-15", "READ", "", \
  "a region without READ can be read") \
X(read_only_written, "RW-16", "WRITE", "", \
  "a region without WRITE can be written") \
X(refusal_with_data, "RW-17", "16 bytes", "", \
  "an access that the device refuses is answered with data") \
X(writes_late, "RW-18", "order", "", \
  "writes take effect after the other messages of a read") \
X(unaligned_crash, "RW-19", "SIG", "RW-17", \
  "an access of 7 bytes at offset 13 crashes the server") \
X(read_fd_kept, "RW-20", "kept", "", \
  "descriptors sent with REGION_READ stay open") \
X(stale_bytes, "RW-21", "differ", "", \
  "configuration from 0x80 on is whatever the last refused write brought")

#define FAULTS_CONN(X) \
X(order_swapped, "CONN-01", "order", "", \
  "a reply to GET_IRQ_INFO leaves after the next one") \
X(no_reply_late, "CONN-02", "earlier", "", \
  "SET_IRQS with No_reply is executed after the next answer") \
X(output_stuck, "CONN-03", "pipelined", "CONN-01", \
  "a full socket is never written to again") \
X(dma_kept, "CONN-04", "DMA", "", \
  "windows outlive their connection") \
X(irq_kept, "CONN-05", "interrupt", "", \
  "interrupt descriptors outlive their connection") \
X(fifty_only, "CONN-07", "VERSION error", "CONN-08,CONN-09,CONN-10,CONN-12,CONN-13", \
  "from the fiftieth connection on VERSION is refused") \
X(half_message_crash, "CONN-08", "SIG", "", \
  "a disconnect in the middle of a message ends the server") \
X(half_message_fd_kept, "CONN-08", "kept", "", \
  "descriptors of half a message stay open") \
X(sigpipe, "CONN-09", "SIG", "CONN-03", \
  "writing to a closed connection ends the server") \
X(half_close_ignored, "CONN-10", "open", "", \
  "a half-closed connection stays open") \
X(silent_blocks, "CONN-11", "silent", "", \
  "while a connection has not sent VERSION, SIGTERM and other clients wait") \
X(clients_mixed, "CONN-12", "other", "CONN-03,CONN-11,CONN-13", \
  "replies go to the connection that came last") \
X(clients_share_dma, "CONN-13", "window", "", \
  "all connections share one table of windows") \
X(clients_share_irqs, "CONN-13", "interrupt", "", \
  "a trigger fires the eventfds of every connection") \
X(negotiated_once, "CONN-14", "executed", "VER-28", \
  "after one negotiation no connection needs another") \
X(sigterm_ignored, "CONN-18", "SIGTERM", "CONN-11", \
  "SIGTERM is ignored") \
X(socket_left, "CONN-18", "socket file", "", \
  "the socket file stays after SIGTERM")
/* clang-format on */

/*
 * Ways to serve that differ and are all right (what the specification leaves open, and what
 * deployed servers do). No case may find fault with them.
 *
 *   X(name, what the server does)
 */
/* clang-format off */
#define MANNERS(X) \
X(slow, "takes 20 ms for each command, and answers when all that it has read is done") \
X(minimal, "has no reset, no GET_REGION_IO_FDS and nothing after DMA_WRITE, and closes over " \
  "commands that it does not know") \
X(counter, "has a read-only region that counts, and ignores writes to it") \
X(wide, "has a read-only region that is read 8 bytes at a time, and ignores writes to it") \
X(huge, "has a BAR of 2^63 bytes") \
X(one_client, "takes one client at a time, the others wait") \
X(exits, "ends with exit status 0 when its last client has left") \
X(closes, "closes, without an error reply, over what it does not understand") \
X(bare, "has no DMA, no interrupts, nothing mappable and no reset") \
X(stubborn, "refuses access to BARs that cannot be mapped, all writes, and wide reads") \
X(terse, "answers VERSION with 0.0 and no data, and takes one descriptor a message") \
X(patient, "takes in a message that is too large to its end before it refuses it") \
X(careful, "refuses unexpected descriptors, surplus bytes, fields that should be zero, and " \
  "accesses of no bytes") \
X(eventfds_only, "takes no other kind of descriptor for an interrupt") \
X(padding, "fills region info up to argsz with zeros when the chain does not fit")
/* clang-format on */

#define CT_FAULT_ENUM(name, id, words, also, text) F_##name,
enum ct_fault { F_none, FAULTS(CT_FAULT_ENUM) };

/* The fault that this process was started with. */
bool ct_fault_is(enum ct_fault f);
#define fault(name) ct_fault_is(F_##name)

#define CT_MANNER_ENUM(name, text) M_##name,
enum ct_manner { M_none, MANNERS(CT_MANNER_ENUM) };

bool ct_manner_is(enum ct_manner m);
#define manner(name) ct_manner_is(M_##name)

/* Choose one by name; false: there is none of that name. */
bool ct_fault_choose(const char *name);
bool ct_manner_choose(const char *name);
/* Print a table, one row a line, columns separated by tabs. */
void ct_fault_list(void);
void ct_manner_list(void);

#endif
