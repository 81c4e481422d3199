-- SPDX-License-Identifier: BSD-3-Clause
--
-- DEVICE_GET_REGION_INFO: the fixed part, the capability chain, and the descriptors that come
-- with it.

local PAGE = 4096
local ALL = 0xffffffff

local function info(c, index, argsz)
  return c:region_info { index = index, argsz = argsz or 4096 }:ok()
end

-- num_regions, as far as all of them can be asked for.
local function region_count(c)
  local n = c:info().num_regions
  return check(n <= 1024 and n, "num_regions is %d: too many to ask for", n)
end

local function has(r, flag) return r.flags & flag ~= 0 end

local function each(c, f)
  local list = c:regions()
  for i = 0, #list do f(list[i], i) end
end

local function cap_of(r, id)
  for _, cap in ipairs(r.chain or {}) do
    if cap.id == id then return cap end
  end
end

-- Areas of the region that can be mapped: offset, size and where they lie in which
-- descriptor.
local function mappable_areas(r)
  local out = {}
  local fds, sparse = cap_of(r, CAP.SPARSE_MMAP_FDS), cap_of(r, CAP.SPARSE_MMAP)
  for _, a in ipairs(fds and fds.areas or sparse and sparse.areas or
                     { { offset = 0, size = r.size } }) do
    out[#out + 1] = { size = a.size, at = a.fd_offset or r.offset + a.offset,
                      fd = r.fds[(a.fd_index or 0) + 1] }
  end
  return out
end

-- Maps every area as the flags allow and touches its first and last byte.
local function map_all(r, i)
  local prot = (has(r, REGION.READ) and "r" or "") .. (has(r, REGION.WRITE) and "w" or "")
  for _, a in ipairs(mappable_areas(r)) do
    check(a.fd, "region %d: no descriptor for an area", i)
    local m, why = a.fd:map { offset = a.at, size = a.size, prot = prot }
    check(m, "region %d: 0x%x bytes at 0x%x of its descriptor cannot be mapped %s: %s", i, a.size,
          a.at, prot, why)
    if has(r, REGION.READ) then
      m:read(0, 1)
      m:read(a.size - 1, 1)
    end
    m:unmap()
  end
end

case "REG-01" {
  "region info has 32 bytes and repeats the index",
  function(c)
    for i = 0, region_count(c) - 1 do
      local how, r = c:region_info { index = i, argsz = 32 }:any()
      if how == "ok" then
        check(#r.body >= 32, "region %d: a payload of %d bytes", i, #r.body)
        check_eq(r.index, i, "index in the info of region " .. i)
      end
    end
  end }

case "REG-02" {
  "argsz is 32 and the length of the chain",
  function(c)
    each(c, function(r, i) check_eq(r.argsz, #r.body, "region " .. i .. ": argsz") end)
  end }

case "REG-03" {
  "a chain that does not fit is left out, and argsz says what it takes", needs = "sparse_mmap",
  function(c)
    local i = c.need.sparse_mmap
    local full = info(c, i).argsz
    for _, argsz in ipairs { 32, 40, full - 1 } do
      local r = info(c, i, argsz)
      check(not has(r, REGION.CAPS), "argsz %d of %d: CAPS is set", argsz, full)
      check(#r.body >= 32 and #r.body <= argsz, "argsz %d: a payload of %d bytes", argsz, #r.body)
      check_eq(r.argsz, full, "argsz of the reply to argsz " .. argsz)
    end
  end }

case "REG-04" {
  "without the chain cap_offset is 0", needs = "sparse_mmap",
  function(c)
    local r = info(c, c.need.sparse_mmap, 32)
    check(has(r, REGION.CAPS) or r.cap_offset == 0, "CAPS is clear, and cap_offset is %d",
          r.cap_offset)
  end }

case "REG-05" {
  "an argsz below 32 is refused",
  function(c)
    for _, argsz in ipairs { 0, 16, 31 } do
      c:raw(msg.region_info { index = 0, argsz = argsz, id = 0x100 + argsz })
      local m, why = c:receive()
      check(m and m.h.flags & 0x3f == 0x21 and m.h.size == 16, "argsz %d: %s instead of an error",
            argsz, m and "a reply of " .. m.h.size .. " bytes" or why)
    end
  end }

case "REG-06" {
  "an index from num_regions on is refused",
  function(c)
    local n = region_count(c)
    for _, i in ipairs { n, n + 1, 0x7fffffff, 0xffffffff } do
      local how = c:region_info { index = i }:any()
      check(how == "error", "index 0x%x of %d: %s instead of an error", i, n, how)
    end
  end }

case "REG-07" {
  "an absent region has nothing", needs = "absent_region",
  function(c)
    each(c, function(r, i)
      if r.size ~= 0 then return end
      check_eq(r.flags, 0, "flags of absent region " .. i)
      check_eq(r.argsz, 32, "argsz of absent region " .. i)
      check_eq(#r.fds, 0, "descriptors of absent region " .. i)
    end)
  end }

case "REG-08" {
  "no undefined region flag is set",
  function(c)
    each(c, function(r, i) check_eq(r.flags & ~0xf, 0, "undefined flags of region " .. i) end)
  end }

case "REG-09" {
  "MMAP comes with one descriptor", needs = "mappable_region",
  function(c)
    each(c, function(r, i)
      if has(r, REGION.MMAP) and not cap_of(r, CAP.SPARSE_MMAP_FDS) then
        check(#r.fds == 1, "region %d has MMAP and %d descriptors, not one descriptor", i, #r.fds)
      end
    end)
  end }

case "REG-10" {
  "MMAP comes with a descriptor even if the chain does not fit", needs = "sparse_mmap",
  function(c)
    local r = info(c, c.need.sparse_mmap, 32)
    check(not has(r, REGION.MMAP) or #r.fds > 0,
          "with argsz 32 region %d has MMAP and no descriptor", c.need.sparse_mmap)
  end }

case "REG-11" {
  "without MMAP no descriptor comes",
  function(c)
    each(c, function(r, i)
      check(has(r, REGION.MMAP) or #r.fds == 0, "region %d has no MMAP and %d descriptor(s)", i,
            #r.fds)
    end)
  end }

case "REG-12" {
  "what is mappable can be mapped, as its flags say", needs = "mappable_region",
  function(c)
    each(c, function(r, i)
      if has(r, REGION.MMAP) then map_all(r, i) end
    end)
  end }

case "REG-14" {
  "CAPS is set exactly when there is a chain",
  function(c)
    each(c, function(r, i)
      local there = r.cap_offset ~= 0
      check(has(r, REGION.CAPS) == there, "region %d: CAPS is %s, and cap_offset is %d", i,
            has(r, REGION.CAPS) and "set" or "clear", r.cap_offset)
      check(not there or r.cap_offset >= 32 and r.cap_offset <= #r.body - 8,
            "region %d: cap_offset %d is outside of the %d bytes", i, r.cap_offset, #r.body)
    end)
  end }

-- The chain as the bytes have it: f(id, version, offset, next) for each; stops after as many
-- steps as there could be.
local function walk(r, f)
  local at, steps = r.cap_offset, 0
  while has(r, REGION.CAPS) and at ~= 0 and at <= #r.body - 8 and steps * 8 <= #r.body do
    local id, version, next = string.unpack("<I2I2I4", r.body, at + 1)
    f(id, version, at, next)
    at, steps = next, steps + 1
  end
end

case "REG-15" {
  "the chain advances and ends", needs = "sparse_mmap",
  function(c)
    each(c, function(r, i)
      walk(r, function(id, _, at, next)
        check(next == 0 or next > at and next <= #r.body - 8,
              "region %d: the chain goes from capability %d at %d to %d of %d bytes", i, id, at,
              next, #r.body)
      end)
    end)
  end }

case "REG-16" {
  "capabilities are aligned to 8 bytes", needs = "sparse_mmap",
  function(c)
    each(c, function(r, i)
      walk(r, function(id, _, at)
        check(at % 8 == 0, "region %d: capability %d at %d is not aligned", i, id, at)
      end)
    end)
  end }

case "REG-17" {
  "a sparse capability holds the areas that it counts", needs = "sparse_mmap",
  function(c)
    each(c, function(r, i)
      walk(r, function(id, version, at, next)
        if id ~= CAP.SPARSE_MMAP then return end
        local room = (next > at and next or #r.body) - at
        check_eq(version, 1, "region " .. i .. ": version of the sparse capability")
        check(room >= 16, "region %d: a sparse capability of %d bytes", i, room)
        local n = string.unpack("<I4", r.body, at + 9)
        check(16 + 16 * n <= room, "region %d: nr_areas is %d, in a capability of %d bytes", i, n,
              room)
      end)
    end)
  end }

local function each_area(c, f)
  each(c, function(r, i)
    local sparse = cap_of(r, CAP.SPARSE_MMAP)
    for k, a in ipairs(sparse and sparse.areas or {}) do f(a, k, r, i) end
  end)
end

case "REG-18" {
  "areas lie inside their region", needs = "sparse_mmap",
  function(c)
    each_area(c, function(a, k, r, i)
      check(not math.ult(r.size, a.offset) and not math.ult(r.size - a.offset, a.size),
            "region %d of 0x%x bytes: area %d (0x%x + 0x%x) is outside", i, r.size, k, a.offset,
            a.size)
    end)
  end }

case "REG-19" {
  "areas are whole pages and do not overlap", needs = "sparse_mmap",
  function(c)
    each_area(c, function(a, k, _, i)
      check(a.size ~= 0 and a.offset % PAGE == 0 and a.size % PAGE == 0,
            "region %d: area %d (0x%x + 0x%x) is not made of whole pages (page size %d)", i, k,
            a.offset, a.size, PAGE)
    end)
    each(c, function(r, i)
      local sparse = cap_of(r, CAP.SPARSE_MMAP)
      local areas = sparse and table.move(sparse.areas, 1, #sparse.areas, 1, {}) or {}
      table.sort(areas, function(a, b) return math.ult(a.offset, b.offset) end)
      for k = 2, #areas do
        local a, b = areas[k - 1], areas[k]
        check(not math.ult(b.offset - a.offset, a.size), "region %d: the areas at 0x%x and 0x%x "
              .. "overlap", i, a.offset, b.offset)
      end
    end)
  end }

case "REG-20" {
  "a sparse capability comes with MMAP", needs = "sparse_mmap",
  function(c)
    each(c, function(r, i)
      check(has(r, REGION.MMAP) or not cap_of(r, CAP.SPARSE_MMAP),
            "region %d has a sparse capability without MMAP", i)
    end)
  end }

case "REG-21" {
  "a device-specific region has a TYPE", needs = "device_specific_region",
  function(c)
    each(c, function(r, i)
      if i < 9 or r.size == 0 then return end
      check(cap_of(r, CAP.TYPE), "region %d has no TYPE capability", i)
    end)
  end }

case "REG-22" {
  "the per-area capability is not used unless proposed", needs = "sparse_mmap",
  function(c)
    each(c, function(r, i)
      check(not cap_of(r, CAP.SPARSE_MMAP_FDS), "region %d has capability 0x8001, unasked", i)
    end)
  end }

case "REG-22" {
  "the per-area capability, when agreed, leads to its descriptors", needs = "sparse_mmap",
  caps = { max_msg_fds = 16, sparse_mmap_fds = true },
  function(c)
    local seen = false
    each(c, function(r, i)
      local cap = cap_of(r, CAP.SPARSE_MMAP_FDS)
      if not cap then return end
      seen = true
      check(#r.fds >= 1 and #r.fds <= #cap.areas, "region %d: %d descriptors for %d areas", i,
            #r.fds, #cap.areas)
      for k, a in ipairs(cap.areas) do
        check(a.fd_index < #r.fds, "region %d: fd_index %d of area %d, with %d descriptors", i,
              a.fd_index, k, #r.fds)
      end
      map_all(r, i)
    end)
    if not seen then note("the server does not use the per-area capability") end
  end }

-- What must not change, of all regions.
local function snapshot(c)
  local parts = {}
  for i = 0, region_count(c) - 1 do
    local r = info(c, i)
    parts[#parts + 1] = string.format("%d: size 0x%x flags 0x%x offset 0x%x", i, r.size, r.flags,
                                      r.offset)
  end
  return parts
end

local function same(before, after, when)
  for i, part in ipairs(before) do
    check(part == after[i], "%s the region infos differ: %s, then %s", when, part, after[i])
  end
end

-- Writes a register of configuration space; false when the device does not take it.
local function config_write(c, offset, data)
  return c:region_write { region = PCI.CONFIG, offset = offset, data = data }:any() == "ok"
end

local function config_read(c, offset, count)
  local how, m = c:region_read { region = PCI.CONFIG, offset = offset, count = count }:any()
  return how == "ok" and m.data or skip("configuration space cannot be read in %d bytes", count)
end

case "REG-23" {
  "region info survives a reset",
  function(c)
    local before = snapshot(c)
    if c:info().flags & DEVICE.RESET ~= 0 then c:reset {}:any() end
    same(before, snapshot(c), "after a reset")
  end }

case "REG-23" {
  "region info survives a reconnect",
  function(c)
    local before = snapshot(c)
    c:close()
    same(before, snapshot(connect()), "after a reconnect")
  end }

case "REG-24" {
  "region info does not depend on BARs and the command register", needs = "pci_config",
  function(c)
    local command, bars = config_read(c, 4, 2), {}
    for i = 0, 5 do bars[i] = config_read(c, 0x10 + 4 * i, 4) end
    local before = snapshot(c)
    if not config_write(c, 4, "\0\0") then
      skip("the device takes no write to its command register")
    end
    local off = snapshot(c)
    for i = 0, 5 do config_write(c, 0x10 + 4 * i, "\xff\xff\xff\xff") end
    local sized = snapshot(c)
    for i = 0, 5 do config_write(c, 0x10 + 4 * i, bars[i]) end
    config_write(c, 4, "\7\0")
    local on = snapshot(c)
    config_write(c, 4, command)
    same(before, off, "with memory and I/O off")
    same(before, sized, "with BARs sized")
    same(before, on, "with memory and I/O on")
  end }

case "REG-25" {
  "what stands in the request does not show in the reply",
  function(c)
    for i = 0, region_count(c) - 1 do
      local plain = info(c, i)
      local how, r = c:region_info { index = i, argsz = 4096, flags = ALL, cap_offset = ALL,
                                     size = -1, offset = -1 }:any()
      check(how ~= "closed", "the server closed")
      check(how == "error" or r.body == plain.body,
            "region %d: the request shows in the reply: flags 0x%x size 0x%x offset 0x%x", i,
            r and r.flags, r and r.size, r and r.offset)
    end
  end }

case "REG-26" {
  "a mappable region can be asked for 5000 times", needs = "mappable_region",
  function(c)
    local i = c.need.mappable_region
    local deadline = now() + math.min(10, 4 * server.timeout)
    for k = 1, 5000 do
      local r = info(c, i)
      check(#r.fds > 0, "query %d of region %d gives no descriptor", k, i)
      local late = now() > deadline
      if late or k % 1000 == 0 then map_all(r, i) end
      for _, fd in ipairs(r.fds) do fd:close() end
      if late then return note("the server is slow: asked %d times only", k) end
    end
  end }
