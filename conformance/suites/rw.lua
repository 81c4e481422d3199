-- SPDX-License-Identifier: BSD-3-Clause
--
-- REGION_READ and REGION_WRITE. What a device does with an access is its own business: these
-- cases accept every refusal that is told properly, unless the rule is about refusing.

local LINE = 0x3c       -- PCI interrupt line: a byte for software to keep, without effect

-- Regions with a size: f(info, index).
local function each(c, f)
  local list = c:regions()
  for i = 0, #list do
    if list[i].size ~= 0 then f(list[i], i) end
  end
end

local function readable(r) return r.flags & REGION.READ ~= 0 end

-- Data, or nil when refused.
local function read(c, region, offset, count)
  local how, m = c:region_read { region = region, offset = offset, count = count }:any()
  check(how ~= "closed", "the server closed over a read of region %d", region)
  return how == "ok" and m.data or nil
end

local function config(c, offset, count)
  return read(c, PCI.CONFIG, offset, count) or
         skip("configuration space cannot be read in %d bytes", count)
end

-- The interrupt line, or a skip when the device does not keep it.
local function line(c)
  local old = config(c, LINE, 1)
  local new = string.char(old:byte() ~ 0x5a)
  c:region_write { region = PCI.CONFIG, offset = LINE, data = new }:any()
  if config(c, LINE, 1) ~= new then skip("the interrupt line register does not keep its value") end
  return new
end

local function must_fail(c, r, what)
  local how = r:any()
  check(how == "error", "%s: %s instead of an error", what, how)
end

case "RW-01" {
  "a read reply repeats offset and region and brings the data", needs = "pci_config",
  function(c)
    local served = 0
    for _, count in ipairs { 1, 2, 4, 8, 64 } do
      for _, offset in ipairs { 0, 8 } do
        local m = c:region_read { region = PCI.CONFIG, offset = offset, count = count }:get()
        if check(m, "the server closed").h.flags & F.ERROR == 0 then
          served = served + 1
          check_eq(m.h.size, 32 + count, "msg_size of a read of " .. count .. " bytes")
          check_eq(m.offset, offset, "offset of a read of " .. count .. " bytes")
          check_eq(m.region, PCI.CONFIG, "region of a read of " .. count .. " bytes")
          check_eq(m.count, count, "count of a read of " .. count .. " bytes")
        end
      end
    end
    check(served > 0, "configuration space cannot be read")
  end }

case "RW-02" {
  "a write reply repeats offset, region and count and has no data", needs = "pci_config",
  function(c)
    local command = config(c, 4, 2)
    local m = c:region_write { region = PCI.CONFIG, offset = 4, data = command }:get()
    if check(m, "the server closed").h.flags & F.ERROR ~= 0 then
      skip("the device takes no write to its command register")
    end
    check_eq(m.h.size, 32, "msg_size of the write reply")
    check_eq(m.offset, 4, "offset")
    check_eq(m.region, PCI.CONFIG, "region")
    check_eq(m.count, 2, "count")
  end }

case "RW-03" {
  "a mappable region can be accessed by message, too", needs = "mappable_region",
  function(c)
    each(c, function(r, i)
      if r.flags & REGION.MMAP == 0 or not readable(r) then return end
      local data, at, width
      local places = { 0 }
      for _, cap in ipairs(r.chain or {}) do
        for _, a in ipairs(cap.areas or {}) do places[#places + 1] = a.offset end
      end
      for _, offset in ipairs(places) do
        for _, count in ipairs { 4, 8, 1 } do
          if not data then data, at, width = read(c, i, offset, count), offset, count end
        end
      end
      check(data, "mappable region %d cannot be read by message", i)
      if r.flags & REGION.WRITE ~= 0 then
        local how = c:region_write { region = i, offset = at, data = data }:any()
        note("region %d: %d bytes at 0x%x can be read; writing them back: %s", i, width, at, how)
      end
    end)
  end }

case "RW-04" {
  "count is what came", needs = "pci_config",
  function(c)
    for _, count in ipairs { 1, 2, 3, 4, 8, 64 } do
      local m = c:region_read { region = PCI.CONFIG, count = count }:get()
      if check(m, "the server closed").h.flags & F.ERROR == 0 then
        check(#m.body >= 16 and m.count == #m.body - 16,
              "a read of %d bytes: count %d, with %d bytes of data", count, m.count,
              #m.body - 16)
        if m.count ~= count then note("a read of %d bytes gave %d", count, m.count) end
      end
    end
  end }

case "RW-05" {
  "a region from num_regions on is refused",
  function(c)
    local n = c:info().num_regions
    check(n <= 1024, "num_regions is %d: no index is surely beyond", n)
    for _, i in ipairs { n, 0x7fffffff, 0xffffffff } do
      must_fail(c, c:region_read { region = i, count = 4 }, "reading region " .. i)
      must_fail(c, c:region_write { region = i, data = "abcd" }, "writing region " .. i)
    end
  end }

case "RW-06" {
  "an access that leaves the region is refused",
  function(c)
    each(c, function(r, i)
      local places = { { r.size - 3, 4 }, { r.size, 1 } }
      if math.ult(r.size, 1 << 63) then places[3] = { 2 * r.size, 4 } end
      for _, p in ipairs(places) do
        local what = string.format("region %d of size 0x%x, %d bytes at 0x%x: ", i, r.size, p[2],
                                   p[1])
        must_fail(c, c:region_read { region = i, offset = p[1], count = p[2] }, what .. "read")
        must_fail(c, c:region_write { region = i, offset = p[1], data = ("\0"):rep(p[2]) },
                  what .. "write")
      end
    end)
  end }

case "RW-07" {
  "offset + count does not wrap around",
  function(c)
    each(c, function(_, i)
      for _, p in ipairs { { -1, 1 }, { -1, 8 }, { -4, 8 }, { -8, 8 } } do
        local what = string.format("region %d, %d bytes at offset 0x%x", i, p[2], p[1])
        must_fail(c, c:region_read { region = i, offset = p[1], count = p[2] }, what)
        must_fail(c, c:region_write { region = i, offset = p[1], data = ("\0"):rep(p[2]) }, what)
      end
    end)
  end }

case "RW-08" {
  "an absent region cannot be accessed", needs = "absent_region",
  function(c)
    local i = c.need.absent_region
    must_fail(c, c:region_read { region = i, count = 1 }, "reading region " .. i .. " of size 0")
    must_fail(c, c:region_write { region = i, data = "a" }, "writing region " .. i .. " of size 0")
  end }

-- The largest region that can be read: index and size.
local function largest(c)
  local index, size = PCI.CONFIG, 0
  each(c, function(r, i)
    if readable(r) and math.ult(size, r.size) then index, size = i, r.size end
  end)
  return index, size
end

case "RW-09" {
  "a count above the server's max_data_xfer_size is refused",
  function(c)
    local limit, i = c.server.limits.max_data_xfer_size, largest(c)
    if limit >= 0xffffffff then skip("the server's limit is no limit") end
    for _, count in ipairs { limit + 1, 0xffffffff } do
      must_fail(c, c:region_read { region = i, count = count },
                string.format("reading 0x%x bytes (max_data_xfer_size is 0x%x)", count, limit))
    end
    if limit > 16 << 20 then return end
    local how = c:region_write { region = i, data = ("\0"):rep(limit + 1) }:any()
    check(how ~= "ok", "writing 0x%x bytes (max_data_xfer_size is 0x%x) succeeds", limit + 1,
          limit)
  end }

case "RW-10" {
  "a count of max_data_xfer_size works", needs = "large_region",
  function(c)
    local limit, i = c.server.limits.max_data_xfer_size, c.need.large_region
    if limit > 64 << 20 then skip("the server's limit is 0x%x", limit) end
    if not read(c, i, 0, 4096) then skip("region %d takes no block of 4096 bytes", i) end
    local data = read(c, i, 0, limit)
    check(data, "reading 0x%x bytes (max_data_xfer_size) of region %d is refused", limit, i)
    check_eq(#data, limit, "bytes read")
  end }

case "RW-11" {
  "a write with less data than count fails and writes nothing", needs = "pci_config",
  function(c)
    local before = config(c, LINE, 4)
    local data = string.char(before:byte() ~ 0xff) .. before:sub(2)
    must_fail(c, c:region_write { region = PCI.CONFIG, offset = LINE, data = data, count = 8 },
              "a short write (4 bytes for a count of 8)")
    check(config(c, LINE, 4) == before, "a short write that was refused changed the register")
  end }

case "RW-12" {
  "a write with more data than count fails or ignores the surplus", needs = "pci_config",
  function(c)
    local before = config(c, LINE, 4)
    local data = before:sub(1, 1) .. before:sub(2):gsub(".", function(x)
      return string.char(x:byte() ~ 0xff)
    end)
    c:region_write { region = PCI.CONFIG, offset = LINE, data = data, count = 1 }:any()
    if c:alive_or_closed() == "closed" then return end
    local after = config(c, LINE, 4)
    check(after == before, "the surplus of a write was written: %s, before %s", hex(after),
          hex(before))
  end }

case "RW-13" {
  "a read request with surplus bytes leaves the stream in step",
  function(c)
    c:region_read { region = PCI.CONFIG, count = 4, pad = 16 }:any()
    c = c:alive_or_closed() == "alive" and c or connect()
    c:raw(msg.region_read { region = PCI.CONFIG, count = 4, id = 0x100,
                            pad = msg.get_info { id = 0x101 } } .. msg.get_info { id = 0x102 })
    local m, why
    repeat
      m, why = c:receive()
      check(m or why == "closed", "the stream is out of step (%s)", why)
      check(not m or m.h.id ~= 0x101, "the surplus of a read request was parsed as a message")
    until not m or m.h.id == 0x102
  end }

case "RW-14" {
  "an access of no bytes is refused or answered with 16 bytes",
  function(c)
    each(c, function(_, i)
      for _, name in ipairs { "region_read", "region_write" } do
        local m = check(c[name](c, { region = i, count = 0 }):get(), "the server closed")
        if m.h.flags & F.ERROR == 0 then
          check_eq(#m.body, 16, name .. " of no bytes, region " .. i .. ": payload (16 bytes)")
          check_eq(m.count, 0, "count")
        end
      end
    end)
  end }

case "RW-15" {
  "a region without READ cannot be read", needs = "write_only_region",
  function(c)
    local i = c.need.write_only_region
    must_fail(c, c:region_read { region = i, count = 4 }, "reading region " .. i .. " without READ")
  end }

case "RW-16" {
  "a region without WRITE cannot be changed", needs = "read_only_region",
  function(c)
    local i = c.need.read_only_region
    local before, again
    for _, count in ipairs { 4, 8, 2, 1, 16 } do
      before = before or read(c, i, 0, count)
    end
    local data = before and before:gsub(".", function(x) return string.char(x:byte() ~ 0xff) end)
    if before then again = read(c, i, 0, #before) end
    local how = c:region_write { region = i, data = data or "abcd" }:any()
    check(how ~= "closed", "the server closed over a write to region %d, without WRITE", i)
    if not before then
      if how == "ok" then skip("region %d cannot be read: no telling what a write does", i) end
      return
    end
    -- What changes on its own is no proof, unless it is what was written.
    check(again ~= before or read(c, i, 0, #before) ~= data,
          "region %d has no WRITE, and a write changes it (%s)", i, how)
  end }

case "RW-17" {
  "an access that the device refuses is answered by a header-only error",
  function(c)
    local refused = 0
    each(c, function(r, i)
      if not readable(r) then return end
      for _, p in ipairs { { 1, 2 }, { 0, 3 }, { 2, 4 }, { 1, 5 }, { 3, 8 }, { 0, 16 } } do
        if not math.ult(r.size, p[1] + p[2]) then
          local m = c:region_read { region = i, offset = p[1], count = p[2] }:get()
          if check(m, "the server closed").h.flags & F.ERROR ~= 0 then
            refused = refused + 1
            check(m.h.size == 16 and #m.body == 0, "region %d, %d bytes at %d: a refusal of %d "
                  .. "bytes, not 16 bytes", i, p[2], p[1], m.h.size)
          end
        end
      end
    end)
    if refused == 0 then skip("the device refuses none of these accesses") end
  end }

case "RW-18" {
  "pipelined writes and reads take effect in order", needs = "pci_config",
  function(c)
    local a = line(c)
    local b = string.char(a:byte() ~ 0xff)
    local function write(id, data)
      return msg.region_write { id = id, region = PCI.CONFIG, offset = LINE, data = data }
    end
    local function fetch(id)
      return msg.region_read { id = id, region = PCI.CONFIG, offset = LINE, count = 1 }
    end
    c:raw(write(0x101, b) .. fetch(0x102) .. write(0x103, a) .. fetch(0x104))
    for id = 0x101, 0x104 do
      local m = c:expect(id):ok()
      local want = id == 0x102 and b or id == 0x104 and a
      check(not want or m.data == want, "not in order: read %s, the write before it was %s",
            hex(m.data or ""), want and hex(want))
    end
  end }

-- All counts from 1 to 9 at one offset, in one batch; false when the server closed.
local function odd_accesses(c, i, offset)
  local parts = {}
  for count = 1, 9 do
    local keep = ("\0"):rep(count)
    if i == PCI.CONFIG then
      local how, m = c:region_read { region = i, offset = offset, count = count }:any()
      if how == "closed" then return false end
      keep = m.data or keep
    end
    parts[#parts + 1] = msg.region_read { id = 0x100 + count, region = i, offset = offset,
                                          count = count }
                        .. msg.region_write { id = 0x200 + count, region = i, offset = offset,
                                              data = keep }
  end
  c:raw(table.concat(parts))
  for _ = 1, 2 * #parts do
    local m, why = c:receive()
    if why == "closed" then return false end
    check(m, "region %d, offset %d: no answer to an odd access (%s)", i, offset, why)
  end
  return c:alive_or_closed() == "alive"
end

case "RW-19" {
  "accesses of odd widths at odd places do no harm",
  function(c)
    local deadline, closes = now() + math.min(10, 4 * server.timeout), {}
    -- The oddest first, in case that the time does not suffice for all.
    for k, offset in ipairs { 13, 1, 7, 15, 0, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 14 } do
      each(c, function(_, i)
        if not odd_accesses(c, i, offset) then
          closes[i] = (closes[i] or 0) + 1
          c = connect()
        end
      end)
      if k < 16 and now() > deadline then
        note("the server is slow: %d of 16 offsets were tried", k)
        break
      end
    end
    for i, n in pairs(closes) do
      note("the server closed at %d offsets of region %d", n, i)
    end
  end }

case "RW-20" {
  "descriptors that come with an access are closed",
  function(c)
    local r, w = pipe()
    local reply = c:region_read { region = PCI.CONFIG, count = 4, fds = { w } }
    w:close()
    note("the answer is: %s", (reply:any()))
    check(r:at_eof(server.timeout), "a descriptor sent with REGION_READ was kept open")
  end }

case "RW-21" {
  "reads bring nothing that an earlier message left behind", needs = "pci_config",
  function(c)
    local size = math.min(c:regions()[PCI.CONFIG].size, 256)
    local before = config(c, 0, size)
    c:region_write { region = 0xffffffff, data = ("\xa5"):rep(size) }:any()
    c = c:alive_or_closed() == "alive" and c or connect()
    local after = config(c, 0, size)
    for i = 1, size do
      check(before:byte(i) == after:byte(i), "two reads of configuration space differ at 0x%x: "
            .. "0x%02x, then 0x%02x", i - 1, before:byte(i), after:byte(i))
    end
  end }
