-- SPDX-License-Identifier: BSD-3-Clause
--
-- The language itself, case by case, against a server that can do everything. The ids
-- mean nothing here.

local function api(title, options, fn)
  options[1], options[2] = title, fn or options[1]
  case "HDR-01"(options)
end

-- The text of the error that f raises.
local function error_of(f, ...)
  local ok, message = pcall(f, ...)
  check(not ok, "no error was raised")
  return tostring(message)
end

local function check_error(wanted, f, ...)
  local message = error_of(f, ...)
  check(message:find(wanted, 1, true), "got '%s', want '%s'", message, wanted)
end

-- ------------------------------------------------------------------- fields --

api("fields take integers and text of integers", { function()
  check_eq(msg.region_read { offset = "0xffffffffffffffff", region = "7", count = 4 }:sub(17),
           string.pack("<I8I4I4", -1, 7, 4), "body")
  check_eq(msg.region_read { offset = "18446744073709551615" }, msg.region_read { offset = -1 },
           "largest decimal")
  check_eq(msg.region_read { offset = math.mininteger }:sub(17, 24),
           "\0\0\0\0\0\0\0\x80", "2^63")
end })

api("what is no such number is refused by the field's name", { function()
  check_error("field 'count' is a float (1.5)", msg.region_read, { count = 1.5 })
  check_error("field 'offset' is a float (1.844674407371e+19)", msg.region_read, { offset = 2^64 })
  check_error("field 'count' does not fit into 32 bits", msg.region_read, { count = 1 << 32 })
  check_error("field 'count' does not fit into 32 bits", msg.region_read, { count = -1 })
  check_error("field 'minor' does not fit into 16 bits", msg.version, { minor = 65536 })
  check_error("field 'region' is a table", msg.region_read, { region = {} })
  check_error("field 'region': 'seven' is no number", msg.region_read, { region = "seven" })
  check_error("field 'region': '-1' is no number", msg.region_read, { region = "-1" })
  check_error("field 'region': '1.0' is no number", msg.region_read, { region = "1.0" })
  check_error("field 'offset': '18446744073709551616' is no number", msg.region_read,
              { offset = "18446744073709551616" })
  check_error("field 'data' is a number", msg.region_write, { data = 5 })
  check_error("there is no field 'argz'", msg.get_info, { argz = 16 })
  check_error("field 'id' does not fit into 16 bits", msg.get_info, { id = 1 << 16 })
end })

api("misspelt names are errors", { function(c)
  check_error("there is no 'DMAP' in CMD", function() return CMD.DMAP end)
  check_error("there is no 'chek'", function() chek(true) end)
  check_error("there is no 'reset_all' in msg", function() return msg.reset_all end)
end })

api("messages have the layout of the specification", { function()
  local le = function(s) return (s:gsub("%s", ""):gsub("..", function(b)
    return string.char(tonumber(b, 16)) end)) end
  check_eq(msg.get_info { id = 0x1234 }, le "3412 0400 20000000 00000000 00000000" ..
           le "10000000 00000000 00000000 00000000", "GET_INFO")
  check_eq(msg.dma_map { address = 0x10000, size = 0x2000, offset = 5 },
           le "0000 0200 30000000 00000000 00000000 20000000 03000000 0500000000000000" ..
           le "0000010000000000 0020000000000000", "DMA_MAP")
  check_eq(msg.set_irqs { index = 2, start = 1, count = 2, flags = SET.BOOL | SET.TRIGGER,
                          data = "\1\0" },
           le "0000 0800 26000000 00000000 00000000 16000000 22000000 02000000 01000000" ..
           le "02000000 0100", "SET_IRQS")
  check_eq(msg.write_multi { writes = { { 7, 4, "ab" }, { region = 1, offset = 2, data = "" } } },
           le "0000 0f00 48000000 00000000 00000000 0200000000000000" ..
           le "0400000000000000 07000000 02000000 6162000000000000" ..
           le "0200000000000000 01000000 00000000 0000000000000000", "WRITE_MULTI")
  check_eq(msg.version { json = false, minor = 2 }:sub(17), "\0\0\2\0", "VERSION")
  check_eq(msg.version { json = "{}" }:sub(17), "\0\0\1\0{}\0", "VERSION")
  check_eq(msg.mig_data_read { size = 100 }:sub(17), string.pack("<I4I4", 108, 100), "MIG")
end })

api("messages can be made wrong", { function()
  local size = function(m) return string.unpack("<I4", m, 5) end
  local m = msg.get_info { pad = 3 }
  check_eq(#m, 35, "padded") check_eq(size(m), 35, "its msg_size")
  m = msg.get_info { cut = 5 }
  check_eq(#m, 21, "cut") check_eq(size(m), 21, "its msg_size")
  m = msg.get_info { msg_size = 7 }
  check_eq(#m, 32, "relabelled") check_eq(size(m), 7, "its msg_size")
  m = msg.get_info { no_reply = true, hflags = 0x40, error = 9 }
  check_eq(string.unpack("<I4", m, 9), 0x50, "flags")
  check_eq(string.unpack("<I4", m, 13), 9, "error")
  check_eq(msg.command(99, "xy", { id = 3 }), "\3\0\99\0\18\0\0\0\0\0\0\0\0\0\0\0xy", "command")
end })

api("numbers are shown in hex, bytes in groups", { function()
  check_eq(hex(-1), "0xffffffffffffffff")
  check_eq(hex("\1\2\3\4\5"), "01020304 05")
  check_eq(to_json { a = 1, b = { true, "x\"\n" } }, '{"a":1,"b":[true,"x\\u0022\\u000a"]}')
end })

-- -------------------------------------------------------------- connections --

api("a reply has its fields, its descriptors and its header",
    { needs = "mappable_region", function(c)
  local m = c:region_info { index = c.need.mappable_region, argsz = 4096 }:ok()
  check_eq(m.h.command, CMD.DEVICE_GET_REGION_INFO, "command")
  check_eq(m.h.size, 16 + #m.body, "size")
  check_eq(m.index, c.need.mappable_region, "index")
  check_eq(#m.fds, 1, "descriptors")
  check(m.fds[1]:kind():match("^memfd:%d+$"), "%s", m.fds[1]:kind())
end })

api("the capability chain is decoded", { needs = "sparse_mmap", function(c)
  local m = c:regions()[c.need.sparse_mmap]
  check(not m.chain_error, "%s", m.chain_error)
  check_eq(m.chain[1].id, CAP.SPARSE_MMAP, "id")
  check(#m.chain[1].areas > 0 and m.chain[1].areas[1].size > 0, "areas")
end })

api("VERSION's answer is at hand", { function(c)
  check_eq(c.server.major, 0, "major")
  check_eq(math.type(c.server.limits.max_data_xfer_size), "integer", "limit")
  check_eq(c.server.caps.max_msg_fds, c.server.limits.max_msg_fds, "caps")
end })

api("VERSION can be sent by hand", { connect = "raw", function(c)
  check_eq(c.server, nil, "server")
  local m = c:version { minor = 0, json = '{"capabilities":{"max_msg_fds":3}}' }:ok()
  check_eq(m.terminated, true, "terminated")
  check_eq(type(m.caps), "table", "caps")
  check_eq(c.server.minor, m.minor, "server")
end })

api("a case can propose capabilities", { caps = { write_multiple = true }, function(c)
  check_eq(c.server.caps.write_multiple, true, "write_multiple")
end })

api("without a connection there is none", { connect = "none", function(c)
  check_eq(c, nil, "c")
  check_eq(connect { minor = 0 }.server.minor, 0, "minor")
  connect { negotiate = false }:region_read { region = 7, count = 1 }:refused_or_closed()
end })

api("replies come in any order of asking", { function(c)
  local a, b = c:get_info {}, c:irq_info { index = 0 }
  check_eq(b:ok().index, 0, "second")
  check_eq(a:ok().num_regions, c:info().num_regions, "first")
end })

api("bytes are sent as they are", { function(c)
  local bytes = msg.get_info { id = 5 } .. msg.irq_info { id = 6, index = 1 }
  check_eq((c:raw(bytes)), #bytes, "sent")
  c:expect(6):ok()
  check_eq(c:expect(5):ok().argsz, 16, "argsz")
  c:pieces(msg.get_info { id = 7 }, { 1, 2, 15, 16, 17, 31 }, 0.001)
  c:expect(7, CMD.DEVICE_GET_INFO):ok()
end })

api("what nobody takes is left over", { function(c)
  c:get_info { id = 50 }
  c:get_info { id = 51 }
  c:alive()
  local list = c:leftover()
  check_eq(#list, 2, "left over")
  check_eq(list[1].h.id, 50, "first")
  check_eq(#c:leftover(), 0, "then")
end })

api("receive takes whatever comes", { function(c)
  c:get_info { id = 9 }
  check_eq(c:receive().h.id, 9, "id")
  local m, why = c:receive(0.01)
  check_eq(m, nil, "message") check_eq(why, "timeout", "why")
  c:shutdown()
  local closed, dropped = c:wait_closed()
  check_eq(closed, true, "closed") check_eq(dropped, 0, "dropped")
  check_eq(select(2, c:receive()), "closed", "why")
end })

api("more than a socket takes can be sent while replies come back", { function(c)
  local bytes = {}
  for i = 1, 20000 do bytes[i] = msg.get_info { id = i } end
  check_eq((c:raw(table.concat(bytes))), 20000 * 32, "sent")
  for i = 1, 20000 do c:expect(i):ok() end
end })

api("sending stops when nobody reads", { function(c)
  c:stop_reading(true)
  local bytes = {}
  for i = 1, 20000 do bytes[i] = msg.region_info { id = i, index = 0, argsz = 4096 } end
  bytes = table.concat(bytes)
  local sent, why = c:raw(bytes, { timeout = 0.2 })
  check(why == "closed" or why == "timeout" and sent < #bytes or sent == #bytes,
        "%d bytes, %s", sent, tostring(why))
  c:stop_reading(false)
  check(c:receive(), "what was answered is still there")
end })

api("a closed connection is closed", { function(c)
  c:close()
  check_error("closed by the case", c.get_info, c, {})
  connect():alive()
end })

api("descriptors reach the server", { needs = "dma", function(c)
  local m = c:memory(0x1000)
  check_eq(m:held_by(c:peer()), false, "before")
  c:dma_map { address = 0x1000, size = 0x1000, fd = m }:ok()
  check_eq(m:held_by(c:peer()), true, "while mapped")
  c:dma_unmap { address = 0x1000, size = 0x1000 }:ok()
  check_eq(m:held_by(c:peer()), false, "afterwards")
end })

api("an eventfd counts", { needs = "irq", function(c)
  local e = eventfd()
  check_eq(e:count(), 0, "at first")
  c:set_irqs { index = c.need.irq, count = 1, flags = SET.EVENTFD | SET.TRIGGER,
               fds = { e } }:ok()
  for _ = 1, 3 do
    c:set_irqs { index = c.need.irq, count = 1, flags = SET.NONE | SET.TRIGGER }:ok()
  end
  check_eq(e:wait(1), true, "signalled")
  check_eq(e:count(), 3, "count")
  check_eq(e:wait(0), false, "afterwards")
end })

api("one eventfd is told from another", { needs = "irq", function(c)
  local e, other = eventfd(), eventfd()
  local function assign(fds)
    c:set_irqs { index = c.need.irq, count = 1, flags = SET.EVENTFD | SET.TRIGGER,
                 fds = fds }:ok()
  end
  assign { e }
  check_eq(e:held_by(c:peer()), true, "assigned")
  check_eq(other:held_by(c:peer()), false, "another")
  assign { other }
  check_eq(e:held_by(c:peer()), false, "replaced")
  assign {}
  check_eq(other:held_by(c:peer()), false, "taken away")
end })

-- ------------------------------------------------------------------ objects --

api("memory is read, written, resized and sealed", { function(c)
  local m <close> = c:memory(100)
  m:write(10, "abc")
  check_eq(m:read(9, 5), "\0abc\0", "content")
  check_eq(#m:read(90, 100), 10, "at the end")
  m:resize(5)
  check_eq(m:size(), 5, "size")
  check_eq(m:seal(), true, "seal")
  check_error("resize:", m.resize, m, 10)
  check_eq(m:kind(), "memfd:5", "kind")
end })

api("a mapping shows the file", { function(c)
  local m = c:memory(8192)
  local map = m:map {}
  map:write(4096, "xyz")
  check_eq(m:read(4096, 3), "xyz", "through the file")
  m:write(0, "abc")
  check_eq(map:read(0, 3), "abc", "through the mapping")
  check_error("outside of the mapping", map.read, map, 8190, 3)
  check_error("outside of the mapping", map.read, map, -1, 1)
  local part = m:map { offset = 4096, size = 4096, prot = "r" }
  check_eq(part:read(0, 3), "xyz", "part")
  check_error("not made for that", part.write, part, 0, "x")
  check_eq(m:seal(true), false, "mapped for writing")
  map:unmap()
  part:unmap()
  check_error("unmapped", map.read, map, 0, 1)
  check_eq(m:seal(true), true, "no longer")
  local none, why = m:map { prot = "w" }
  check_eq(none, nil, "sealed") check(#why > 0)
end })

api("pipes and sockets see their other end go", { function()
  local r, w = pipe()
  check_eq(r:at_eof(0), false, "open")
  w:close()
  check_eq(r:at_eof(1), true, "closed")
  local a, b = socketpair()
  check_eq(a:connected_stream(), true, "stream")
  check_eq(r:connected_stream(), false, "pipe")
  check_eq(a:at_eof(0), false, "open")
  b:close()
  check_eq(a:at_eof(1), true, "closed")
  check_eq(b:kind(), "closed", "kind")
  check_error("is closed", b.at_eof, b)
end })

api("only descriptors can be sent as such", { function(c)
  check_error("fds: a descriptor object is wanted, not a number", c.get_info, c, { fds = { 1 } })
  local r = pipe()
  r:close()
  check_error("fds: this pipe is closed", c.get_info, c, { fds = { r } })
end })

api("metatables are out of reach", { function(c)
  check_eq(getmetatable(c:memory(1)), false, "descriptor")
end })

-- ------------------------------------------------------------------- needs --

api("needs give their index", { needs = { "pci_config", "msix", "absent_region" }, function(c)
  check_eq(c.need.pci_config, 7, "pci_config")
  check_eq(c.need.msix, PCI.MSIX, "msix")
  check_eq(c:regions()[c.need.absent_region].size, 0, "absent_region")
  check_error("there is no need called 'money'", function() return c.need.money end)
end })

api("a mapping whose file is gone fails the case", { function(c)
  local m = c:memory(8192)
  local map = m:map {}
  m:resize(0)
  note("reading a page that is not there")
  map:read(4096, 1)
end })
