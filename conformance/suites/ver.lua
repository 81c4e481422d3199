-- SPDX-License-Identifier: BSD-3-Clause
--
-- VERSION: the first message of a connection, and what both sides agree on with it.

-- Version data with these capabilities.
local function caps(members) return '{"capabilities":{' .. members .. '}}\0' end

-- Everything the specification names, and more room than a reply to it needs.
local EVERYTHING = caps('"max_msg_fds":16,"max_data_xfer_size":1048576,"max_dma_maps":65535,'
  .. '"pgsizes":4096,"twin_socket":{"supported":true},"write_multiple":true,'
  .. '"sparse_mmap_fds":true,"migration":{"pgsize":4096,"max_bitmap_size":268435456}')

local proposals = {
  { "the usual version data", {} },
  { "no version data", { json = false } },
  { "{}", { data = "{}\0" } },
  { "no capabilities", { data = caps "" } },
}

-- The reply to VERSION, whatever is in it.
local function answer(c, fields, what)
  local m = c:version(fields):get()
  check(m, "%s: the server closed", what or "VERSION")
  check(m.h.flags & F.ERROR == 0, "%s: refused with errno %d", what or "VERSION", m.h.error)
  return m
end

local function accepted(c, fields, what)
  local how, m = c:version(fields):any()
  check(how == "ok", "%s: %s instead of a VERSION reply", what, how)
  return m
end

local function not_accepted(c, fields, what)
  local how = c:version(fields):any()
  check(how ~= "ok", "%s was accepted", what)
  return how
end

-- What twin_socket says in a reply: true, false, or nil when it is not there.
local function twin_of(m)
  local twin = type(m.caps) == "table" and m.caps.twin_socket
  return type(twin) == "table" and twin.supported or nil
end

for _, minor in ipairs { 0, 1, 2 } do
  case "VER-02" {
    "a proposal of 0." .. minor .. " gets a VERSION reply", connect = "raw",
    function(c)
      local m = answer(c, { minor = minor }, "0." .. minor)
      check(m.h.command == CMD.VERSION and #m.body >= 4,
            "the VERSION reply names command %d and has a body of %d bytes", m.h.command, #m.body)
    end }
end

for _, minor in ipairs { 0, 1, 2, 0xffff } do
  case "VER-03" {
    "major 0 is answered to 0." .. minor, connect = "raw",
    function(c) check_eq(answer(c, { minor = minor }).major, 0, "major of the reply") end }

  case "VER-04" {
    "the minor answered to 0." .. minor .. " is not higher", connect = "raw",
    function(c)
      local m = answer(c, { minor = minor })
      check(m.minor <= minor, "minor %d was proposed, %d is answered", minor, m.minor)
    end }
end

case "VER-05" {
  "every minor below the highest is accepted", connect = "raw",
  function(c)
    local top = answer(c, { minor = 0xffff }).minor
    c:close()
    for minor = 0, math.min(top, 32) - 1 do
      c = connect { minor = minor }
      check(c.server.minor <= minor, "minor %d is answered to %d", c.server.minor, minor)
      c:close()
    end
  end }

for _, major in ipairs { 1, 0xffff } do
  case "VER-06" {
    "major " .. major .. " is refused by closing", connect = "raw",
    function(c)
      local how, m = c:version { major = major }:any()
      check(how ~= "ok", "major %d was accepted (the reply says %d.%d)", major, m and m.major or 0,
            m and m.minor or 0)
      check(how == "closed" or c:wait_closed(), "major %d was refused, and the connection left "
            .. "open", major)
    end }
end

case "VER-07" {
  "version data is optional", connect = "raw",
  function(c) accepted(c, { json = false }, "a proposal without version data") end }

for _, data in ipairs { "{}\0", caps "" } do
  case "VER-08" {
    data:sub(1, -2) .. " is accepted", connect = "raw",
    function(c) accepted(c, { data = data }, data:sub(1, -2)) end }
end

for _, p in ipairs(proposals) do
  case "VER-09" {
    "the answer to " .. p[1] .. " ends with its only NUL", connect = "raw",
    function(c)
      local data = answer(c, p[2]).body:sub(5)
      if data == "" then return end
      check_eq(data:byte(-1), 0, "last byte of the version data (a NUL)")
      check(not data:sub(1, -2):find("\0", 1, true), "a NUL precedes the last byte: %s",
            hex(data))
    end }
end

case "VER-10" {
  "version data without NUL is refused", connect = "raw",
  function(c) not_accepted(c, { data = "{}" }, "version data without NUL") end }

for _, p in ipairs(proposals) do
  case "VER-11" {
    "the answer to " .. p[1] .. " is a JSON object", connect = "raw",
    function(c)
      local m = answer(c, p[2])
      if #m.body == 4 then return end
      check(not m.json_error, "version data is no JSON: %s", m.json_error)
      check(utf8.len(m.json), "version data is no UTF-8")
      check(m.json:match("^%s*{"), "version data is no object: %s", m.json)
      check(m.caps == nil or type(m.caps) == "table" and m.json:match('"capabilities"%s*:%s*{'),
            "capabilities is no object: %s", m.json)
    end }
end

local malformed = {
  { "an open object", "{\0" },
  { "an open string", '"x\0' },
  { "half a null", "nul\0" },
  { "an object and a letter", "{}x\0" },
  { "an open list", "[1\0" },
  { "a key that is no UTF-8", '{"\xff\xfe":1}\0' },
  { "100 kB of nested lists", ("["):rep(50000) .. ("]"):rep(50000) .. "\0" },
}
for _, t in ipairs(malformed) do
  case "VER-12" {
    t[1] .. " is refused", connect = "raw",
    function(c) not_accepted(c, { data = t[2] }, t[1]) end }
end

case "VER-12" {
  "an empty string is refused, or as good as no version data", connect = "raw",
  function(c) note("the answer is: %s", (c:version { data = "\0" }:any())) end }

for _, members in ipairs { '"max_msg_fds":"8"', '"twin_socket":1', '"write_multiple":{}' } do
  case "VER-13" {
    members .. " is refused", connect = "raw",
    function(c) not_accepted(c, { data = caps(members) }, members) end }
end

case "VER-13" {
  "capabilities that are a string are refused", connect = "raw",
  function(c)
    local data = '{"capabilities":"x"}'
    not_accepted(c, { data = data .. "\0" }, data)
  end }

local UNKNOWN = '{"capabilities":{"max_msg_fds":8,"x-test":{"a":[1]}},"x-more":true}\0'

case "VER-14" {
  "unknown capabilities do no harm", connect = "raw",
  function(c) accepted(c, { data = UNKNOWN }, "a proposal with unknown capabilities") end }

case "VER-15" {
  "unknown capabilities do not come back", connect = "raw",
  function(c)
    local m = answer(c, { data = UNKNOWN })
    check(not m.body:find("x%-test") and not m.body:find("x%-more"), "x-test came back: %s",
          m.json)
  end }

case "VER-16" {
  "a feature is answered only to who proposed it", connect = "raw",
  function(c)
    local answered = answer(c, { data = caps "" }).caps or {}
    for _, name in ipairs { "twin_socket", "write_multiple", "migration", "sparse_mmap_fds" } do
      check(answered[name] == nil, "%s was answered, and not proposed", name)
    end
    for name in pairs(answered) do note("the server states %s to a silent client", name) end
  end }

local function whole(x) return type(x) == "number" and x % 1 == 0 end

case "VER-17" {
  "limits are whole numbers that make sense", connect = "raw",
  function(c)
    local said = answer(c, {}).caps or {}
    local function limit(name, least, most, usual)
      local x = said[name]
      if x == nil then return end
      check(whole(x) and x >= least and x <= most, "%s is %s; %d to %d make sense", name,
            tostring(x), least, most)
      if x > usual then warn("%s is %d; a client refuses more than %d", name, x, usual) end
    end
    limit("max_msg_fds", 0, 253, 16)
    limit("max_data_xfer_size", 4096, 1 << 32, 67108864)
    limit("max_dma_maps", 1, 1 << 32, 65535)
    limit("pgsizes", 1, math.maxinteger, math.maxinteger)
  end }

case "VER-18" {
  "pgsizes holds nothing below 4096", connect = "raw",
  function(c)
    local sizes = (answer(c, {}).caps or {}).pgsizes
    check(sizes == nil or math.tointeger(sizes) and math.tointeger(sizes) & 4095 == 0,
          "pgsizes is %s", tostring(sizes))
  end }

-- num_regions, as far as all of them can be asked for.
local function region_count(c)
  local n = c:info().num_regions
  return check(n <= 1024 and n, "num_regions is %d: too many to ask for", n)
end

-- No reply of the commands that can carry descriptors has more than `most`. The one that the
-- server need not know, and may close over, comes last.
local function count_descriptors(c, most)
  local n = region_count(c)
  for i = 0, n - 1 do
    local how, m = c:region_info { index = i, argsz = 4096 }:any()
    check(how ~= "closed", "the server closed over the info of region %d", i)
    check(not m or #m.fds <= most, "info of region %d has %d descriptors; the client takes %d", i,
          m and #m.fds, most)
  end
  for i = 0, n - 1 do
    local how, m = c:region_io_fds { index = i }:any()
    if how == "closed" then return note("closed after GET_REGION_IO_FDS") end
    check(not m or #m.fds <= most, "I/O descriptors of region %d: %d descriptors; the client "
          .. "takes %d", i, m and #m.fds, most)
  end
end

for _, data in ipairs { false, caps '"max_data_xfer_size":65536' } do
  case "VER-19" {
    "who does not say max_msg_fds gets one descriptor a message (" ..
    (data and "other limits given" or "no version data") .. ")", connect = "raw",
    needs = "mappable_region",
    function(c)
      accepted(c, data and { data = data } or { json = false }, "a proposal without max_msg_fds")
      count_descriptors(c, 1)
    end }
end

for _, most in ipairs { 1, 0 } do
  case "VER-20" {
    "no message has more descriptors than a max_msg_fds of " .. most, connect = "raw",
    function(c)
      local how = c:version { data = caps('"max_msg_fds":' .. most) }:any()
      if how == "ok" then
        count_descriptors(c, most)
      else
        check(most == 0, "max_msg_fds 1: %s", how)
        note("max_msg_fds 0: %s", how)
      end
    end }
end

case "VER-21" {
  "a max_msg_fds of 0 is accepted or refused", connect = "raw",
  function(c)
    c:version { data = caps '"max_msg_fds":0' }
    local m, why = c:receive()
    check(m or why == "closed", "max_msg_fds 0 is neither answered nor leads to a close (%s)", why)
    if m and m.h.flags & F.ERROR == 0 then c:alive() end
  end }

for _, name in ipairs { "max_msg_fds", "max_data_xfer_size" } do
  for _, value in ipairs { "-1", "0.5", "1e6", "4294967296", "1e308" } do
    case "VER-22" {
      name .. " " .. value .. " is refused or survived", connect = "raw",
      function(c)
        local how = c:version { data = caps('"' .. name .. '":' .. value) }:any()
        note("%s %s: %s", name, value, how)
        if how == "ok" then
          c:alive()
          c:region_read { region = PCI.CONFIG, count = 4 }:any()
        end
      end }
  end
end

case "VER-22" {
  "a max_msg_fds of 4294967296 does not become 0", connect = "raw", needs = "mappable_region",
  function(c)
    local how = c:version { data = caps '"max_msg_fds":4294967296' }:any()
    if how ~= "ok" then return note("refused: %s", how) end
    local r = c:region_info { index = c.need.mappable_region, argsz = 4096 }:ok()
    check(#r.fds > 0, "after max_msg_fds 4294967296 region %d comes without descriptor",
          c.need.mappable_region)
  end }

case "VER-24" {
  "the VERSION reply is small", connect = "raw",
  function(c)
    local m = answer(c, { data = EVERYTHING })
    check(m.h.size <= 4096, "the VERSION reply has %d bytes, more than 4096", m.h.size)
    if m.h.size > 20 + #EVERYTHING then
      warn("the VERSION reply has %d bytes, more than its request (%d): a client refuses it",
           m.h.size, 20 + #EVERYTHING)
    end
  end }

case "VER-25" {
  "the VERSION reply has no descriptors without twin-socket", connect = "raw",
  function(c)
    local m = answer(c, { data = caps '"max_msg_fds":8' })
    check_eq(#m.fds, 0, "descriptors of the VERSION reply")
  end }

case "VER-26" {
  "descriptors that come with VERSION are closed", connect = "raw",
  function(c)
    local a, b = socketpair()
    local r = c:version { fds = { b } }
    b:close()
    note("the answer is: %s", (r:any()))
    check(a:at_eof(server.timeout), "a descriptor sent with VERSION was kept open")
  end }

for len = 0, 3 do
  case "VER-27" {
    "a VERSION body of " .. len .. " bytes is refused", connect = "raw",
    function(c)
      local how = c:command(CMD.VERSION, ("\0"):rep(len)):any()
      check(how ~= "ok", "a VERSION body of %d bytes was accepted", len)
    end }
end

case "VER-28" {
  "nothing is executed before VERSION", connect = "raw",
  function(c)
    local how = c:get_info {}:any()
    check(how ~= "ok", "GET_INFO was executed before VERSION")
  end }

case "VER-29" {
  "a second VERSION changes nothing", caps = { max_msg_fds = 8 },
  function(c)
    local function descriptors()
      local n = 0
      for i = 0, region_count(c) - 1 do
        n = n + #c:region_info { index = i, argsz = 4096 }:ok().fds
      end
      return n
    end
    local before = descriptors()
    local how = c:version { data = caps '"max_msg_fds":0,"max_data_xfer_size":4096' }:any()
    note("the answer is: %s", how)
    if c:alive_or_closed() == "closed" then return end
    check_eq(descriptors(), before, "descriptors of all regions after a second VERSION that says "
             .. "max_msg_fds 0")
  end }

case "VER-30" {
  "VERSION with No_reply is not answered", connect = "raw",
  function(c)
    c:version { no_reply = true, id = 0x50 }
    c:raw(msg.get_info { id = 0x51 })
    local m, why = c:receive(1)
    check(not m or m.h.id ~= 0x50, "VERSION with No_reply was answered")
    note("GET_INFO after it: %s", m and (m.h.flags & F.ERROR == 0 and "served" or "error") or why)
  end }

for _, members in ipairs { '"max_msg_fds":8',
                           '"max_msg_fds":8,"twin_socket":{"supported":false}' } do
  case "VER-31" {
    "no twin socket for " .. members, connect = "raw",
    function(c)
      local m = answer(c, { data = caps(members) })
      check(not twin_of(m), "a twin socket is enabled, not asked for: %s", m.json)
      check_eq(#m.fds, 0, "descriptors of the VERSION reply (twin sockets)")
    end }
end

local TWIN = caps '"max_msg_fds":8,"twin_socket":{"supported":true}'

case "VER-32" {
  "an enabled twin socket is there", connect = "raw", needs = "twin_socket",
  function(c)
    local m = answer(c, { data = TWIN })
    if not twin_of(m) then skip("the server declines this time") end
    local index = m.caps.twin_socket.fd_index
    check(math.type(index) == "integer" and index >= 0 and index < #m.fds,
          "fd_index is %s, with %d descriptors", tostring(index), #m.fds)
    local fd = m.fds[index + 1]
    check(fd:connected_stream(), "fd_index leads to a descriptor (%s) that is no connected stream "
          .. "socket", fd:kind())
  end }

case "VER-33" {
  "twin-socket may be declined, politely", connect = "raw",
  function(c)
    local m = accepted(c, { data = TWIN }, "a proposal of twin-socket")
    note("twin-socket is %s", twin_of(m) and "enabled" or "declined")
    check(twin_of(m) or #m.fds == 0, "twin-socket is declined, with %d descriptors", #m.fds)
    c:alive()
  end }
