-- SPDX-License-Identifier: BSD-3-Clause
--
-- Wireshark and tshark: recordings of vfio-user sessions, as `vfu record` writes them.
--
--   wireshark -X lua_script:vfio-user.lua RECORDING.pcapng
--
-- or copy this file to the folder of personal Lua plugins (Help, About, Folders). The
-- packets have the link type USER0 (147): a header of the recording, described byte by
-- byte in docs/recording.md, then a message or what else happened. Lua here is 5.2, whose
-- numbers are doubles: 64-bit fields stay UInt64.

local vfu = Proto("vfio-user", "vfio-user")

-- ------------------------------------------------------------------- values --

local kinds = { [1] = "Message", [2] = "Raw bytes", [3] = "Connect", [4] = "Close",
                [5] = "Event", [6] = "Memory", [7] = "Note" }
local MESSAGE, RAW, CONNECT, CLOSE, EVENT, MEMORY, NOTE = 1, 2, 3, 4, 5, 6, 7
local directions = { [0] = "to the server", [1] = "to the client" }
local sockets = { [0] = "main", [1] = "twin" }
local fd_kinds = { [0] = "other", [1] = "memfd", [2] = "file", [3] = "eventfd",
                   [4] = "socket", [5] = "pipe" }
local accesses = { [0] = "read", [1] = "write", [2] = "read and write" }
local raw_reasons = { [1] = "a header announces less than 16 bytes",
                      [2] = "a header announces more than is taken",
                      [3] = "the stream ended within a message" }

local commands = {
  [1] = "VERSION", [2] = "DMA_MAP", [3] = "DMA_UNMAP", [4] = "DEVICE_GET_INFO",
  [5] = "DEVICE_GET_REGION_INFO", [6] = "DEVICE_GET_REGION_IO_FDS",
  [7] = "DEVICE_GET_IRQ_INFO", [8] = "DEVICE_SET_IRQS", [9] = "REGION_READ",
  [10] = "REGION_WRITE", [11] = "DMA_READ", [12] = "DMA_WRITE", [13] = "DEVICE_RESET",
  [15] = "REGION_WRITE_MULTI", [16] = "DEVICE_FEATURE", [17] = "MIG_DATA_READ",
  [18] = "MIG_DATA_WRITE",
}
local types = { [0] = "command", [1] = "reply" }
local regions = { [0] = "BAR0", [1] = "BAR1", [2] = "BAR2", [3] = "BAR3", [4] = "BAR4",
                  [5] = "BAR5", [6] = "ROM", [7] = "configuration space", [8] = "VGA" }
local irqs = { [0] = "INTx", [1] = "MSI", [2] = "MSI-X", [3] = "ERR", [4] = "REQ" }
local caps = { [1] = "SPARSE_MMAP", [2] = "TYPE", [3] = "MSIX_MAPPABLE",
               [0x8001] = "SPARSE_MMAP_FDS" }
local io_fd_types = { [0] = "ioeventfd", [1] = "ioregionfd", [2] = "ioeventfd shadow" }
local features = { [1] = "MIGRATION", [2] = "MIG_DEVICE_STATE", [6] = "DMA_LOGGING_START",
                   [7] = "DMA_LOGGING_STOP", [8] = "DMA_LOGGING_REPORT" }
local states = { [0] = "ERROR", [1] = "STOP", [2] = "RUNNING", [3] = "STOP_COPY",
                 [4] = "RESUMING", [5] = "RUNNING_P2P", [6] = "PRE_COPY",
                 [7] = "PRE_COPY_P2P" }
local errnos = {
  [0] = "none", [1] = "EPERM", [2] = "ENOENT", [5] = "EIO", [7] = "E2BIG", [9] = "EBADF",
  [11] = "EAGAIN", [12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [16] = "EBUSY",
  [17] = "EEXIST", [19] = "ENODEV", [22] = "EINVAL", [25] = "ENOTTY", [28] = "ENOSPC", [34] = "ERANGE",
  [38] = "ENOSYS", [71] = "EPROTO", [75] = "EOVERFLOW", [95] = "EOPNOTSUPP",
  [110] = "ETIMEDOUT",
}

-- ------------------------------------------------------------------- fields --

local f = {}
local function field(name, make, label, ...)
  f[name] = make("vfio-user." .. name, label, ...)
end
local DEC, HEX = base.DEC, base.HEX

field("kind", ProtoField.uint8, "Kind", DEC, kinds)
field("direction", ProtoField.uint8, "Direction", DEC, directions)
field("socket", ProtoField.uint8, "Socket", DEC, sockets)
field("session", ProtoField.uint32, "Session", DEC)
field("fds_lost", ProtoField.bool, "Descriptors were cut off", 16, nil, 0x2)
field("fd", ProtoField.none, "Descriptor")
field("fd.kind", ProtoField.uint8, "Kind", DEC, fd_kinds)
field("fd.access", ProtoField.uint8, "Access", DEC, accesses)
field("fd.file", ProtoField.uint32, "File", DEC)
field("fd.size", ProtoField.uint64, "Size", DEC)
field("raw.reason", ProtoField.uint64, "Reason", DEC)
field("raw.bytes", ProtoField.bytes, "Bytes")
field("close.error", ProtoField.uint64, "Error", DEC)
field("close.half", ProtoField.uint64, "Still reads", DEC)
field("event.index", ProtoField.uint64, "Interrupt index", DEC)
field("event.vector", ProtoField.uint64, "Vector", DEC)
field("event.count", ProtoField.uint64, "Times", DEC)
field("memory.file", ProtoField.uint64, "File", DEC)
field("memory.offset", ProtoField.uint64, "Offset", HEX)
field("memory.bytes", ProtoField.bytes, "Contents")
field("note", ProtoField.string, "Note")
field("piece", ProtoField.uint32, "Piece starts at byte", DEC)
field("total", ProtoField.uint32, "Bytes of all pieces", DEC)

field("id", ProtoField.uint16, "Message id", DEC)
field("command", ProtoField.uint16, "Command", DEC, commands)
field("size", ProtoField.uint32, "Message size", DEC)
field("flags", ProtoField.uint32, "Flags", HEX)
field("flags.type", ProtoField.uint32, "Type", DEC, types, 0xf)
field("flags.no_reply", ProtoField.bool, "No reply", 32, nil, 0x10)
field("flags.error", ProtoField.bool, "Error", 32, nil, 0x20)
field("error", ProtoField.uint32, "Errno", DEC, errnos)
field("response_in", ProtoField.framenum, "Response in", base.NONE, frametype.RESPONSE)
field("response_to", ProtoField.framenum, "Response to", base.NONE, frametype.REQUEST)
field("time", ProtoField.relative_time, "Time since the command")
field("body", ProtoField.bytes, "Body")

field("major", ProtoField.uint16, "Major", DEC)
field("minor", ProtoField.uint16, "Minor", DEC)
field("json", ProtoField.string, "Version data")
field("argsz", ProtoField.uint32, "argsz", DEC)
field("offset", ProtoField.uint64, "Offset", HEX)
field("address", ProtoField.uint64, "Address", HEX)
field("length", ProtoField.uint64, "Size", HEX)
field("pgsize", ProtoField.uint64, "Page size", DEC)
field("bitmap_size", ProtoField.uint64, "Bytes of bitmap", DEC)
field("bitmap", ProtoField.bytes, "Bitmap")
field("data", ProtoField.bytes, "Data")
field("count", ProtoField.uint32, "Count", DEC)
field("count64", ProtoField.uint64, "Count", DEC)
field("region", ProtoField.uint32, "Region", DEC, regions)
field("irq", ProtoField.uint32, "Interrupt index", DEC, irqs)
field("cap_offset", ProtoField.uint32, "Offset of capabilities", DEC)
field("num_regions", ProtoField.uint32, "Regions", DEC)
field("num_irqs", ProtoField.uint32, "Interrupt indices", DEC)
field("start", ProtoField.uint32, "First vector", DEC)

-- Flags of the commands: a field for the word and one for each bit.
local function flag_set(name, bits)
  field(name, ProtoField.uint32, "Flags", HEX)
  local list = {}
  for _, bit in ipairs(bits) do
    local key = name .. "." .. bit[2]:lower()
    field(key, ProtoField.bool, bit[2], 32, nil, bit[1])
    list[#list + 1] = key
  end
  return { name = name, bits = list }
end
local device_flags = flag_set("device_flags", { { 1, "RESET" }, { 2, "PCI" } })
local dma_flags = flag_set("dma_flags", { { 1, "READ" }, { 2, "WRITE" }, { 4, "MMAP" },
                                          { 8, "FILE_IO" } })
local unmap_flags = flag_set("unmap_flags", { { 1, "GET_DIRTY_BITMAP" }, { 2, "ALL" } })
local region_flags = flag_set("region_flags", { { 1, "READ" }, { 2, "WRITE" },
                                                { 4, "MMAP" }, { 8, "CAPS" } })
local io_fds_flags = flag_set("io_fds_flags", {})
local irq_flags = flag_set("irq_flags", { { 1, "EVENTFD" }, { 2, "MASKABLE" },
                                          { 4, "AUTOMASKED" }, { 8, "NORESIZE" } })
local set_flags = flag_set("set_flags", { { 1, "NONE" }, { 2, "BOOL" }, { 4, "EVENTFD" },
                                          { 8, "MASK" }, { 16, "UNMASK" },
                                          { 32, "TRIGGER" } })

field("cap", ProtoField.none, "Capability")
field("cap.id", ProtoField.uint16, "Id", HEX, caps)
field("cap.version", ProtoField.uint16, "Version", DEC)
field("cap.next", ProtoField.uint32, "Next", DEC)
field("cap.type", ProtoField.uint32, "Type", HEX)
field("cap.subtype", ProtoField.uint32, "Subtype", HEX)
field("area", ProtoField.none, "Area")
field("area.offset", ProtoField.uint64, "Offset", HEX)
field("area.size", ProtoField.uint64, "Size", HEX)
field("area.fd_offset", ProtoField.uint64, "Offset in the descriptor", HEX)
field("area.fd_index", ProtoField.uint32, "Index of the descriptor", DEC)
field("io_fd", ProtoField.none, "Entry")
field("io_fd.offset", ProtoField.uint64, "Offset", HEX)
field("io_fd.size", ProtoField.uint64, "Size", DEC)
field("io_fd.fd_index", ProtoField.uint32, "Index of the descriptor", DEC)
field("io_fd.type", ProtoField.uint32, "Type", DEC, io_fd_types)
field("io_fd.flags", ProtoField.uint32, "Flags", HEX)
field("io_fd.datamatch", ProtoField.uint64, "Data match", HEX)
field("write", ProtoField.none, "Write")
field("write.offset", ProtoField.uint64, "Offset", HEX)
field("write.region", ProtoField.uint32, "Region", DEC, regions)
field("write.count", ProtoField.uint32, "Count", DEC)
field("write.data", ProtoField.bytes, "Data")
field("feature_flags", ProtoField.uint32, "Flags", HEX)
field("feature", ProtoField.uint32, "Feature", DEC, features, 0xffff)
field("feature.get", ProtoField.bool, "GET", 32, nil, 0x10000)
field("feature.set", ProtoField.bool, "SET", 32, nil, 0x20000)
field("feature.probe", ProtoField.bool, "PROBE", 32, nil, 0x40000)
field("migration_flags", ProtoField.uint64, "Migration", HEX)
field("device_state", ProtoField.uint32, "Device state", DEC, states)
field("data_fd", ProtoField.uint32, "Data descriptor", DEC)
field("page_size", ProtoField.uint64, "Page size", DEC)
field("num_ranges", ProtoField.uint32, "Ranges", DEC)
field("range", ProtoField.none, "Range")
field("range.iova", ProtoField.uint64, "IOVA", HEX)
field("range.length", ProtoField.uint64, "Length", HEX)
field("mig_size", ProtoField.uint32, "Size", DEC)

local all = {}
for _, x in pairs(f) do all[#all + 1] = x end
vfu.fields = all

local e = {
  refused = ProtoExpert.new("vfio-user.expert.refused", "The command was refused",
                            expert.group.RESPONSE_CODE, expert.severity.NOTE),
  short = ProtoExpert.new("vfio-user.expert.short",
                          "The message is shorter than its form",
                          expert.group.MALFORMED, expert.severity.ERROR),
  size = ProtoExpert.new("vfio-user.expert.size", "msg_size is not what came",
                         expert.group.PROTOCOL, expert.severity.WARN),
  flags = ProtoExpert.new("vfio-user.expert.flags", "The type of the message is unknown",
                          expert.group.PROTOCOL, expert.severity.WARN),
  unknown = ProtoExpert.new("vfio-user.expert.unknown", "The command is unknown",
                            expert.group.PROTOCOL, expert.severity.WARN),
  chain = ProtoExpert.new("vfio-user.expert.chain", "The capability chain is broken",
                          expert.group.MALFORMED, expert.severity.ERROR),
  raw = ProtoExpert.new("vfio-user.expert.raw", "These bytes are no message",
                        expert.group.MALFORMED, expert.severity.ERROR),
  stray = ProtoExpert.new("vfio-user.expert.stray", "A reply that answers no command",
                          expert.group.SEQUENCE, expert.severity.WARN),
  record = ProtoExpert.new("vfio-user.expert.record", "The record is damaged",
                           expert.group.MALFORMED, expert.severity.ERROR),
}
vfu.experts = { e.refused, e.short, e.size, e.flags, e.unknown, e.chain, e.raw, e.stray,
                e.record }

-- ------------------------------------------------------------------- cursor --

-- Fields in a row. What does not fit marks the message short and is left out, with all
-- that follows. Numbers are returned as such up to 32 bits, else as UInt64; 0 when they
-- are not there.
local Cursor = {}
Cursor.__index = Cursor

local function cursor(tvb, tree, from, to)
  return setmetatable({ tvb = tvb, tree = tree, at = from, stop = to, short = false },
                      Cursor)
end

function Cursor:left() return self.stop - self.at end

function Cursor:range(len)
  if self.short or len > self:left() then
    self.short = true
    return nil
  end
  local range = self.tvb:range(self.at, len)
  self.at = self.at + len
  return range
end

function Cursor:number(name, len)
  local range = self:range(len)
  if not range then return len == 8 and UInt64(0) or 0 end
  self.tree:add_le(f[name], range)
  if len == 8 then return range:le_uint64() end
  return range:le_uint()
end

function Cursor:u16(name) return self:number(name, 2) end
function Cursor:u32(name) return self:number(name, 4) end
function Cursor:u64(name) return self:number(name, 8) end
function Cursor:skip(len) self:range(len) end

function Cursor:flags(set)
  local range = self:range(4)
  if not range then return 0 end
  local tree = self.tree:add_le(f[set.name], range)
  for _, bit in ipairs(set.bits) do tree:add_le(f[bit], range) end
  return range:le_uint()
end

-- len bytes, or as many as there are.
function Cursor:bytes(name, len)
  if self.short then return end
  if len > self:left() then
    len = self:left()
    if not self.complained then self.tree:add_proto_expert_info(e.short) end
    self.complained = true
  end
  if len > 0 then self.tree:add(f[name], self:range(len)) end
end

function Cursor:rest(name) self:bytes(name, self:left()) end

-- A subtree for len bytes: calls fill(cursor over them).
function Cursor:group(name, label, len, fill)
  local range = self:range(len)
  if not range then return false end
  local tree = self.tree:add(f[name], range)
  tree:set_text(label)
  fill(cursor(self.tvb, tree, self.at - len, self.at))
  return true
end

local function has(value, bit) return math.floor(value / bit) % 2 == 1 end

-- UInt64 as a number where a length is wanted: what is larger than any message counts as
-- more than there is.
local function length_of(u64)
  if u64 > UInt64(0xffffffff) then return 0xffffffff end
  return u64:tonumber()
end

-- ------------------------------------------------------------------- bodies --

local function version(c)
  c:u16("major")
  c:u16("minor")
  if not c.short and c:left() > 0 then
    c.tree:add(f.json, c:range(c:left()))
  end
end

local function dma_map(c)
  c:u32("argsz")
  c:flags(dma_flags)
  c:u64("offset")
  c:u64("address")
  c:u64("length")
end

local function dma_unmap(c, reply)
  c:u32("argsz")
  local flags = c:flags(unmap_flags)
  c:u64("address")
  c:u64("length")
  if has(flags, 1) then
    c:u64("pgsize")
    local size = c:u64("bitmap_size")
    if reply then c:bytes("bitmap", length_of(size)) end
  end
end

local function get_info(c)
  c:u32("argsz")
  c:flags(device_flags)
  c:u32("num_regions")
  c:u32("num_irqs")
end

local function areas(c, with_fds)
  local n = c:u32("count")
  c:skip(4)
  for i = 1, n do
    local whole = c:group("area", "Area " .. i, with_fds and 32 or 16, function(a)
      a:u64("area.offset")
      if with_fds then a:u64("area.fd_offset") end
      a:u64("area.size")
      if with_fds then a:u32("area.fd_index") end
    end)
    if not whole then break end
  end
end

-- Each step goes forward, so a chain ends.
local function chain(c, from, first, tree)
  local at = first
  local least = 32
  while at ~= 0 do
    if at < least or from + at + 8 > c.stop then
      tree:add_proto_expert_info(e.chain)
      return
    end
    local sub = tree:add(f.cap, c.tvb:range(from + at, 8))
    local cap = cursor(c.tvb, sub, from + at, c.stop)
    local id = cap:u16("cap.id")
    cap:u16("cap.version")
    local next_at = cap:u32("cap.next")
    sub:set_text("Capability " .. (caps[id] or string.format("0x%x", id)))
    if next_at > at and from + next_at < c.stop then cap.stop = from + next_at end
    if id == 1 or id == 0x8001 then areas(cap, id == 0x8001) end
    if id == 2 then
      cap:u32("cap.type")
      cap:u32("cap.subtype")
    end
    if cap.short then sub:add_proto_expert_info(e.chain) end
    least = at + 8
    at = next_at
  end
end

local function region_info(c, reply)
  local from = c.at
  c:u32("argsz")
  local flags = c:flags(region_flags)
  c:u32("region")
  local first = c:u32("cap_offset")
  c:u64("length")
  c:u64("offset")
  if reply and not c.short and has(flags, 8) then
    chain(c, from, first, c.tree)
    c.at = c.stop
  end
end

local function region_io_fds(c, reply)
  c:u32("argsz")
  c:flags(io_fds_flags)
  c:u32("region")
  local n = c:u32("count")
  if not reply or n == 0 or c:left() == 0 then return end
  local stride = math.floor(c:left() / n)
  if stride < 40 then stride = 40 end
  for i = 1, n do
    local whole = c:group("io_fd", "Entry " .. i, stride, function(x)
      x:u64("io_fd.offset")
      x:u64("io_fd.size")
      x:u32("io_fd.fd_index")
      x:u32("io_fd.type")
      x:u32("io_fd.flags")
      x:skip(4)
      x:u64("io_fd.datamatch")
    end)
    if not whole then break end
  end
end

local function irq_info(c)
  c:u32("argsz")
  c:flags(irq_flags)
  c:u32("irq")
  c:u32("count")
end

local function set_irqs(c)
  c:u32("argsz")
  local flags = c:flags(set_flags)
  c:u32("irq")
  c:u32("start")
  local n = c:u32("count")
  if has(flags, 2) then c:bytes("data", n) end
end

local function region_access(c, reply, with_data)
  c:u64("offset")
  c:u32("region")
  local n = c:u32("count")
  if with_data then c:bytes("data", n) end
end

local function region_read(c, reply) region_access(c, reply, reply) end
local function region_write(c, reply) region_access(c, reply, not reply) end

local function dma_access(c, reply, with_data)
  c:u64("address")
  if c:left() == 4 and not with_data then     -- one revision of the text has it so
    c:u32("count")
    return
  end
  local n = c:u64("count64")
  if with_data then c:bytes("data", length_of(n)) end
end

local function dma_read(c, reply) dma_access(c, reply, reply) end
local function dma_write(c, reply) dma_access(c, reply, not reply) end

local function write_multi(c, reply)
  local n = length_of(c:u64("count64"))
  if reply then return end
  for i = 1, n do
    local whole = c:group("write", "Write " .. i, 24, function(w)
      w:u64("write.offset")
      w:u32("write.region")
      local count = w:u32("write.count")
      w:bytes("write.data", math.min(count, 8))
    end)
    if not whole then break end
  end
end

local function logging_start(c)
  c:u64("page_size")
  local n = c:u32("num_ranges")
  c:skip(4)
  for i = 1, n do
    local whole = c:group("range", "Range " .. i, 16, function(r)
      r:u64("range.iova")
      r:u64("range.length")
    end)
    if not whole then break end
  end
end

local function report(c, reply)
  c:u64("range.iova")
  c:u64("range.length")
  c:u64("page_size")
  if reply then c:rest("bitmap") end
end

local function feature(c, reply)
  c:u32("argsz")
  local range = c:range(4)
  if not range then return end
  local tree = c.tree:add_le(f.feature_flags, range)
  for _, name in ipairs { "feature", "feature.get", "feature.set", "feature.probe" } do
    tree:add_le(f[name], range)
  end
  local flags = range:le_uint()
  local index, get = flags % 0x10000, has(flags, 0x10000)
  if has(flags, 0x40000) or c:left() == 0 then return end
  if index == 1 then
    c:u64("migration_flags")
  elseif index == 2 then
    c:u32("device_state")
    c:u32("data_fd")
  elseif index == 6 then
    logging_start(c)
  elseif index == 8 and get then
    report(c, reply)
  end
end

local function mig_data(c, reply, with_data)
  c:u32("argsz")
  local n = c:u32("mig_size")
  if with_data then c:bytes("data", n) end
end

local function mig_read(c, reply) mig_data(c, reply, reply) end
local function mig_write(c) mig_data(c, false, true) end

-- What dissects a command's body, and a reply's; nil: there is none.
local bodies = {
  [1] = { version, version }, [2] = { dma_map, nil }, [3] = { dma_unmap, dma_unmap },
  [4] = { get_info, get_info }, [5] = { region_info, region_info },
  [6] = { region_io_fds, region_io_fds }, [7] = { irq_info, irq_info },
  [8] = { set_irqs, nil }, [9] = { region_read, region_read },
  [10] = { region_write, region_write }, [11] = { dma_read, dma_read },
  [12] = { dma_write, dma_write }, [13] = {}, [15] = { write_multi, write_multi },
  [16] = { feature, feature }, [17] = { mig_read, mig_read }, [18] = { mig_write, nil },
}

-- -------------------------------------------------------- commands and replies --

-- By frame number: where its partner is, and when the command came.
local partners, command_times = {}, {}
-- Commands that wait, by session, socket, direction and id: lists of frame numbers.
local waiting = {}

function vfu.init()
  partners, command_times, waiting = {}, {}, {}
end

local function key_of(record, direction, id)
  return string.format("%d.%d.%d.%d", record.session, record.socket, direction, id)
end

-- Frames are seen in order the first time only.
local function pair(pinfo, record, kind, no_reply, id)
  if pinfo.visited then return end
  if kind == 0 and not no_reply then
    local key = key_of(record, record.direction, id)
    waiting[key] = waiting[key] or {}
    table.insert(waiting[key], pinfo.number)
    command_times[pinfo.number] = pinfo.abs_ts
  elseif kind == 1 then
    local list = waiting[key_of(record, 1 - record.direction, id)]
    local command = list and table.remove(list, 1)
    if command then
      partners[command], partners[pinfo.number] = pinfo.number, command
    end
  end
end

local function add_partner(pinfo, tree, kind)
  local partner = partners[pinfo.number]
  if kind == 0 and partner then
    tree:add(f.response_in, partner):set_generated()
  elseif kind == 1 and partner then
    tree:add(f.response_to, partner):set_generated()
    local delta = pinfo.abs_ts - command_times[partner]
    local seconds = math.floor(delta)
    local time = NSTime(seconds, math.floor((delta - seconds) * 1e9 + 0.5))
    tree:add(f.time, time):set_generated()
  elseif kind == 1 then
    tree:add_proto_expert_info(e.stray)
  end
end

-- ------------------------------------------------------------------- message --

local function body(c, pinfo, command, kind, is_error)
  local forms = bodies[command]
  if not forms then
    c.tree:add_proto_expert_info(e.unknown)
  elseif kind <= 1 and not is_error then
    local dissect = forms[kind + 1]
    if dissect then dissect(c, kind == 1) end
    if c.short and not c.complained then c.tree:add_proto_expert_info(e.short) end
  end
  if c:left() > 0 then c.tree:add(f.body, c.tvb:range(c.at, c:left())) end
end

local function message(tvb, pinfo, tree, record)
  local c = cursor(tvb, tree, record.payload, tvb:len())
  if c:left() < 16 then
    tree:add_proto_expert_info(e.short)
    return
  end
  local whole = record.total
  local id = c:u16("id")
  local command = c:u16("command")
  local size = c:u32("size")
  local range = c:range(4)
  local flags = range:le_uint()
  local words = tree:add_le(f.flags, range)
  for _, name in ipairs { "flags.type", "flags.no_reply", "flags.error" } do
    words:add_le(f[name], range)
  end
  c:u32("error")
  local errno = tvb:range(c.at - 4, 4):le_uint()
  local kind, is_error = flags % 16, has(flags, 0x20)
  local name = commands[command] or ("COMMAND_" .. command)
  if kind > 1 then tree:add_proto_expert_info(e.flags) end
  if size ~= whole then tree:add_proto_expert_info(e.size) end
  pair(pinfo, record, kind, has(flags, 0x10), id)
  add_partner(pinfo, tree, kind)
  local word = kind == 1 and is_error and "error" or types[kind] or "type " .. kind
  local info = string.format("%s %s id=%d", name, word, id)
  if kind == 1 and is_error then
    info = info .. " (" .. (errnos[errno] or errno) .. ")"
    tree:add_proto_expert_info(e.refused)
  end
  if record.pieces then
    info = info .. " [first piece]"
    c.complained = true     -- the rest is in the next packets
  end
  pinfo.cols.info = info
  body(c, pinfo, command, kind, kind == 1 and is_error)
end

-- -------------------------------------------------------------------- record --

local function descriptors(c, n)
  for i = 1, n do
    local whole = c:group("fd", "Descriptor " .. (i - 1), 16, function(d)
      d:number("fd.kind", 1)
      d:number("fd.access", 1)
      d:skip(2)
      d:u32("fd.file")
      d:u64("fd.size")
    end)
    if not whole then return false end
  end
  return true
end

local function values(tvb, tree, names)
  for i, name in ipairs(names) do
    tree:add_le(f[name], tvb:range(24 + 8 * (i - 1), 8))
  end
end

local function payload(tvb, record)
  local len = tvb:len() - record.payload
  return len > 0 and tvb:range(record.payload, len) or nil
end

local function by_whom(record) return record.direction == 0 and "client" or "server" end

local others = {
  [RAW] = function(tvb, tree, record)
    values(tvb, tree, { "raw.reason" })
    tree:add_proto_expert_info(e.raw)
    local bytes = payload(tvb, record)
    if bytes then tree:add(f["raw.bytes"], bytes) end
    local reason = tvb:range(24, 8):le_uint64():tonumber()
    return "No message: " .. (raw_reasons[reason] or "bytes")
  end,
  [CONNECT] = function() return "A client connected" end,
  [CLOSE] = function(tvb, tree, record)
    values(tvb, tree, { "close.error", "close.half" })
    return "The " .. by_whom(record) .. " closed"
  end,
  [EVENT] = function(tvb, tree, record)
    values(tvb, tree, { "event.index", "event.vector", "event.count" })
    local index = tvb:range(24, 8):le_uint64():tonumber()
    return string.format("%s %s vector %s",
                         record.direction == 1 and "Interrupt" or "Unmask",
                         irqs[index] or index, tostring(tvb:range(32, 8):le_uint64()))
  end,
  [MEMORY] = function(tvb, tree, record)
    values(tvb, tree, { "memory.file", "memory.offset" })
    local bytes = payload(tvb, record)
    if bytes then tree:add(f["memory.bytes"], bytes) end
    return "Memory set by the " .. by_whom(record)
  end,
  [NOTE] = function(tvb, tree, record)
    local bytes = payload(tvb, record)
    if not bytes then return "Note" end
    tree:add(f.note, bytes)
    return "Note: " .. bytes:string()
  end,
}

-- The header of the recording; nil when this is none.
local function read_record(tvb, tree)
  if tvb:len() < 56 or tvb:range(0, 4):le_uint() ~= 0x72756676 or
     tvb:range(4, 1):uint() ~= 1 then
    return nil
  end
  local record = {
    kind = tvb:range(5, 1):uint(), direction = tvb:range(6, 1):uint() > 0 and 1 or 0,
    socket = tvb:range(7, 1):uint() > 0 and 1 or 0, payload = tvb:range(10, 2):le_uint(),
    session = tvb:range(12, 4):le_uint(), total = tvb:range(16, 4):le_uint(),
    at = tvb:range(20, 4):le_uint(), n_fds = tvb:range(48, 2):le_uint(),
  }
  tree:add(f.kind, tvb:range(5, 1))
  tree:add(f.direction, tvb:range(6, 1))
  tree:add(f.socket, tvb:range(7, 1))
  tree:add_le(f.session, tvb:range(12, 4))
  if tvb:range(8, 2):le_uint() % 4 >= 2 then tree:add_le(f.fds_lost, tvb:range(8, 2)) end
  local c = cursor(tvb, tree, 56, math.min(record.payload, tvb:len()))
  if record.payload > tvb:len() or not descriptors(c, record.n_fds) then return nil end
  record.pieces = record.total > tvb:len() - record.payload
  return record
end

local function columns(pinfo, record)
  local client, server = "client " .. record.session, "server"
  pinfo.cols.protocol = record.socket == 1 and "vfio-user twin" or "vfio-user"
  pinfo.cols.src = record.direction == 0 and client or server
  pinfo.cols.dst = record.direction == 0 and server or client
end

function vfu.dissector(buffer, pinfo, root)
  local tvb = buffer
  local tree = root:add(vfu, tvb:range())
  local record = tvb:len() > 0 and read_record(tvb, tree)
  pinfo.cols.protocol = "vfio-user"
  if not record then
    pinfo.cols.info = "No record of a vfio-user session"
    tree:add_proto_expert_info(e.record)
    return
  end
  columns(pinfo, record)
  if record.kind == MESSAGE and record.at == 0 then
    message(tvb, pinfo, tree, record)
  elseif record.kind == MESSAGE then
    tree:add_le(f.piece, tvb:range(20, 4))
    tree:add_le(f.total, tvb:range(16, 4))
    pinfo.cols.info = "A further piece of the message before"
  elseif others[record.kind] then
    pinfo.cols.info = others[record.kind](tvb, tree, record)
  else
    pinfo.cols.info = "A record of an unknown kind"
  end
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, vfu)
