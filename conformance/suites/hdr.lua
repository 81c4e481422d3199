-- SPDX-License-Identifier: BSD-3-Clause
--
-- The message header: what a reply repeats, what flags and msg_size mean, and what becomes of
-- a stream that carries broken ones.

local BAD = 0xffffffff          -- an index that nothing has
local SIZE = { get_info = 16, region_info = 32, region_io_fds = 16, irq_info = 16 }

-- Commands that a correct server answers with success ...
local good = {
  { "get_info", {} },
  { "irq_info", { index = 0 } },
  { "region_info", { index = 0, argsz = 4096 } },
}
-- ... with an error ...
local bad = {
  { "region_info", { index = BAD } },
  { "region_io_fds", { index = BAD } },
  { "irq_info", { index = BAD } },
  { "set_irqs", { index = BAD, flags = SET.NONE | SET.TRIGGER } },
  { "region_read", { region = BAD, count = 4 } },
  { "region_write", { region = BAD, data = "abcd" } },
}
-- ... or with either, by its abilities.
local either = {
  { "region_io_fds", { index = 0 } },
  { "region_read", { region = PCI.CONFIG, count = 4 } },
  { "dma_unmap", { address = 0x7ffffffff000, size = 0x1000 } },
  { "feature", { flags = FEATURE.SET | 0xffff, data = ("\0"):rep(8) } },
}

-- The flag bits that are defined; the others are the business of HDR-14 alone.
local function bits(m) return m.h.flags & 0x3f end

-- Sends them one by one and gives each answer to judge(m, name, command), as it came. A
-- server that closes is not judged here: the next goes over a new connection. Returns the
-- connection to go on with.
local function answers(c, requests, judge)
  for i, request in ipairs(requests) do
    local name, fields = request[1], request[2]
    fields.id = 0x100 + i
    local bytes = msg[name](fields)
    c:raw(bytes)
    local m, why = c:receive()
    if not m and why == "closed" then
      note("the server closed after %s", name)
      c = connect()
    else
      judge(check(m, "%s: no answer in step (%s)", name, why), name,
            (string.unpack("<I2", bytes, 3)), fields.id)
    end
  end
  return c
end

local function all(...)
  local list = {}
  for _, part in ipairs { ... } do table.move(part, 1, #part, #list + 1, list) end
  return list
end

-- What must be refused: the error reply, or nil when the server closed instead.
local function refusal(c, what)
  local m, why = c:receive()
  if not m then
    check(why == "closed", "%s got no answer: neither an error reply nor a close (%s)", what, why)
    return nil
  end
  check(m.h.flags & F.ERROR ~= 0, "%s was executed: a success reply with %d bytes of data", what,
        #m.body)
  check(bits(m) == 0x21 and m.h.size == 16,
        "%s: the error reply has flags 0x%x and %d bytes, not 0x21 and 16", what, m.h.flags,
        m.h.size)
  return m
end

-- For what may be refused by closing: the connection to go on with.
local function go_on(c)
  if c:alive_or_closed() == "alive" then return c end
  return connect()
end

case "HDR-01" {
  "the header fields of every reply are in their places",
  function(c)
    answers(c, all(good, bad, either), function(m, name, command, id)
      local h = m.h
      check(h.id == id and h.command == command and h.size == 16 + #m.body and
            bits(m) & ~(F.REPLY | F.ERROR) == 0,
            "%s: header fields are displaced: msg_id 0x%x command 0x%x msg_size 0x%x flags 0x%x",
            name, h.id, h.command, h.size, h.flags)
    end)
  end }

case "HDR-02" {
  "a reply repeats the msg_id",
  function(c)
    for _, id in ipairs { 0, 1, 0x7fff, 0x8000, 0xffff } do
      c:raw(msg.get_info { id = id })
      local m = check(c:receive(), "no answer to msg_id 0x%x", id)
      check_eq(m.h.id, id, "msg_id of the reply")
    end
  end }

case "HDR-03" {
  "a reply repeats the command, an error reply too",
  function(c)
    answers(c, all(good, bad, either), function(m, name, command)
      check_eq(m.h.command, command, name .. ": command of the reply")
    end)
  end }

case "HDR-04" {
  "the Type of a reply is 1",
  function(c)
    answers(c, all(good, bad, either), function(m, name)
      check_eq(m.h.flags & F.TYPE, 1, name .. ": Type of the reply")
    end)
  end }

case "HDR-05" {
  "msg_size counts the header",
  function(c)
    c = answers(c, good, function(m, name)
      if m.h.flags & F.ERROR == 0 and name ~= "region_info" then
        check_eq(m.h.size, 16 + SIZE[name], name .. ": msg_size of the reply")
      end
    end)
    c = answers(c, all(bad, either, good), function(m, name)
      if m.h.flags & F.ERROR ~= 0 then
        check_eq(m.h.size, 16, name .. ": msg_size of the error reply")
      end
    end)
    c:alive_or_closed()
  end }

case "HDR-06" {
  "No_reply: success is not answered",
  function(c)
    c:get_info { no_reply = true }:unanswered()
    c:irq_info { index = 0, no_reply = true }:unanswered()
    c:region_info { index = 0, no_reply = true }:unanswered()
  end }

case "HDR-07" {
  "No_reply: failure is not answered",
  function(c)
    c:region_read { region = BAD, count = 4, no_reply = true }:unanswered()
    c:irq_info { index = BAD, no_reply = true }:unanswered()
    c:region_info { index = BAD, no_reply = true }:unanswered()
  end }

case "HDR-08" {
  "No_reply: the command is executed all the same", needs = "dma",
  function(c)
    local window = { address = 0x10000, size = 0x1000 }
    c:dma_map { address = 0x10000, size = 0x1000, fd = c:memory(0x1000), no_reply = true }
    local how = c:dma_unmap(window):any()
    check(how == "ok", "a DMA_MAP with No_reply was not executed: unmapping the window gives %s",
          how)
  end }

case "HDR-09" {
  "a failure is told by flags 0x21",
  function(c)
    local failures = 0
    answers(c, all(bad, either), function(m, name)
      if m.h.flags & F.ERROR ~= 0 then
        failures = failures + 1
        check_eq(bits(m), 0x21, name .. ": flags of the error reply")
      end
    end)
    check(failures > 0, "nothing was refused")
  end }

case "HDR-10" {
  "an error reply is a header and nothing else",
  function(c)
    answers(c, all(bad, either), function(m, name)
      if m.h.flags & F.ERROR ~= 0 then
        check(m.h.size == 16 and #m.body == 0 and #m.fds == 0,
              "%s: an error reply is 16 bytes; this one has %d and %d descriptors", name,
              m.h.size, #m.fds)
      end
    end)
  end }

case "HDR-11" {
  "a success reply has the Error bit clear and its payload",
  function(c)
    answers(c, good, function(m, name)
      check(m.h.flags & F.ERROR == 0, "%s: the Error bit is set in what should be a success, "
            .. "with %d bytes of payload", name, #m.body)
      check(#m.body >= SIZE[name], "%s: a payload of %d bytes, at least %d are wanted", name,
            #m.body, SIZE[name])
    end)
  end }

case "HDR-12" {
  "the error field of an error reply is an errno, or zero",
  function(c)
    answers(c, all(bad, either), function(m, name)
      if m.h.flags & F.ERROR ~= 0 then
        check(m.h.error <= 4095, "%s: 0x%x is no errno", name, m.h.error)
      end
    end)
  end }

case "HDR-13" {
  "the error field of a success reply is zero",
  function(c)
    answers(c, all(good, either), function(m, name)
      if m.h.flags & F.ERROR == 0 then
        check_eq(m.h.error, 0, name .. ": error field of the success reply")
      end
    end)
  end }

case "HDR-14" {
  "reserved flags are sent as zero",
  function(c)
    answers(c, all(good, bad, either), function(m, name)
      check_eq(m.h.flags & ~0x3f, 0, name .. ": reserved flag bits of the reply")
      check_eq(m.h.flags & 0x1e, 0, name .. ": flag bits that a reply has not")
    end)
  end }

-- A command whose header has something to be ignored: success and error are both fine.
local function still_answered(c, fields, what)
  fields.id = 0x200
  c:raw(msg.get_info(fields))
  local m, why = c:receive()
  check(m, "no answer to %s (%s)", what, why)
  check(m.h.id == 0x200 and m.h.command == CMD.DEVICE_GET_INFO and
        (bits(m) == 1 and m.h.size == 32 or bits(m) == 0x21 and m.h.size == 16),
        "%s: the answer has msg_id 0x%x, flags 0x%x and %d bytes", what, m.h.id, m.h.flags,
        m.h.size)
  c:alive()
end

case "HDR-15" {
  "reserved flags in a command are ignored",
  function(c)
    still_answered(c, { hflags = 0x80000000 }, "a command with flag bit 31")
    still_answered(c, { hflags = 0x40 }, "a command with flag bit 6")
  end }

case "HDR-16" {
  "the Error bit and the error field of a command are ignored",
  function(c)
    still_answered(c, { error = 5 }, "a command with an error value")
    still_answered(c, { hflags = F.ERROR }, "a command with the Error bit")
  end }

case "HDR-17" {
  "commands may share a msg_id",
  function(c)
    c:raw(msg.get_info { id = 7 }:rep(4))
    for i = 1, 4 do
      local m, why = c:receive()
      check(m, "%d of 4 replies came (%s)", i - 1, why)
      check_eq(m.h.id, 7, "msg_id")
    end
  end }

for _, size in ipairs { 0, 1, 15 } do
  case "HDR-18" {
    "a msg_size of " .. size .. " is refused",
    function(c)
      c:raw(msg.get_info { msg_size = size, cut = 0 })
      if refusal(c, "a msg_size of " .. size) then
        note("an error reply, then the connection is %s", c:wait_closed(0.2) and "closed" or
             "left open")
      end
    end }
end

-- Commands that a server need not know. Unknown ones it may refuse by closing.
local OPTIONAL = { [6] = true, [15] = true, [16] = true, [17] = true, [18] = true }

-- Sends a command with a body that is too short: an error must come, or a close where the
-- command may be unknown. Returns the connection to go on with, and whether it is a new one.
local function too_short(c, number, body, what)
  local how = c:command(number, body):any()
  if how == "closed" and OPTIONAL[number] then return connect(), true end
  check(how == "error", "%s: %s instead of an error", what, how)
  return c, false
end

case "HDR-19" {
  "a bare header is refused where a body is needed",
  function(c)
    for _, number in ipairs { 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18 } do
      local closed
      c, closed = too_short(c, number, "", "a bare header of command " .. number)
      if closed then note("closed after command %d", number) end
    end
    c:alive()
  end }

for _, size in ipairs { 0x7fffffff, 0xffffffff } do
  case "HDR-20" {
    string.format("a msg_size of 0x%x is refused, and what follows is no message", size),
    function(c)
      c:raw(msg.region_write { region = PCI.CONFIG, cut = 0, msg_size = size, id = 0x100 })
      local m, why = c:receive(1)
      local count = m and 1 or 0
      if why == "timeout" then note("the server waits for the announced bytes") end
      if m then check(m.h.flags & F.ERROR ~= 0, "a msg_size of 0x%x was accepted", size) end
      if why == "closed" then return end
      c:raw(msg.get_info { id = 0x101 })
      m = c:receive(0.5)
      check(not m or m.h.id == 0x100 and count == 0 and m.h.flags & F.ERROR ~= 0,
            "the bytes behind a header of msg_size 0x%x were parsed as a message", size)
    end }
end

-- Command and size of its fixed structure.
local structures = {
  { 2, 32 }, { 3, 24 }, { 4, 16 }, { 5, 32 }, { 6, 16 }, { 7, 16 }, { 8, 20 }, { 9, 16 },
  { 10, 16 }, { 15, 8 }, { 16, 8 }, { 17, 8 }, { 18, 8 },
}

case "HDR-21" {
  "a body shorter than its structure is refused",
  function(c)
    for _, s in ipairs(structures) do
      local number, size = s[1], s[2]
      local has_argsz = number <= 8 or number >= 16
      local body = (has_argsz and string.pack("<I4", size) or "") .. ("\0"):rep(size)
      local closes = 0
      for len = 1, size - 1 do
        local closed
        c, closed = too_short(c, number, body:sub(1, len), string.format(
                              "a body of %d bytes for command %d (it has %d)", len, number, size))
        closes = closes + (closed and 1 or 0)
      end
      if closes > 0 then note("closed after %d of the bodies of command %d", closes, number) end
      c:alive()
    end
  end }

case "HDR-22" {
  "bytes behind a fixed structure are tolerated",
  function(c)
    local function accepted(r, what)
      local how = r:any()
      check(how == "ok", "a padded %s gives %s", what, how)
    end
    accepted(c:get_info { pad = 16 }, "GET_INFO")
    accepted(c:region_info { index = 0, argsz = 4064, pad = 4064 - 32 }, "GET_REGION_INFO")
    accepted(c:irq_info { index = 0, pad = 16 }, "GET_IRQ_INFO")
  end }

case "HDR-23" {
  "an unknown command is refused",
  function(c)
    for _, number in ipairs { 0, 14, 19, 20, 255, 0xffff } do
      c:command(number, ("\0"):rep(8))
      if not refusal(c, "command " .. number) then note("closed after command %d", number) end
      c = go_on(c)
    end
  end }

-- Replies up to the one to `last`; none may answer `hidden`, which lies in another's body.
local function none_hidden(c, hidden, last, what)
  local m, why
  repeat
    m, why = c:receive()
    check(m or why == "closed", "%s: the stream is out of step (%s)", what, why)
    check(not m or m.h.id ~= hidden, "%s was parsed as a message of its own", what)
  until not m or m.h.id == last
end

case "HDR-23" {
  "the body of an unknown command is consumed",
  function(c)
    for _, number in ipairs { 19, 0xffff } do
      c:command(number, msg.get_info { id = 0x777 })
      c:raw(msg.get_info { id = 0x778 })
      none_hidden(c, 0x777, 0x778, "the body of command " .. number)
      c = go_on(c)
    end
  end }

case "HDR-24" {
  "a server refuses the commands that only servers send",
  function(c)
    c:dma_read { address = 0x10000, count = 16 }
    refusal(c, "DMA_READ")
    c = go_on(c)
    c:dma_write { address = 0x10000, data = "abcd" }
    refusal(c, "DMA_WRITE")
    go_on(c)
  end }

case "HDR-25" {
  "a reply that answers nothing is not answered",
  function(c)
    c:raw(msg.command(CMD.DEVICE_GET_INFO, "", { hflags = F.REPLY, id = 0x55 }))
    c:raw(msg.get_info { id = 0x56 })
    local m, why = c:receive()
    if not m then return check(why == "closed", "the stream is out of step (%s)", why) end
    check(m.h.id ~= 0x55, "a message of Type reply was answered (flags 0x%x)", m.h.flags)
    check_eq(m.h.id, 0x56, "msg_id of the next reply")
  end }

for _, type in ipairs { 2, 15 } do
  case "HDR-26" {
    "a message of Type " .. type .. " is not executed",
    function(c)
      c:raw(msg.get_info { hflags = type, id = 0x55 })
      c:raw(msg.get_info { id = 0x56 })
      local m, why
      repeat
        m, why = c:receive()
        check(m or why == "closed", "the stream is out of step (%s)", why)
        check(not m or m.h.id ~= 0x55 or m.h.flags & F.ERROR ~= 0,
              "a message of Type %d was executed", type)
      until not m or m.h.id == 0x56
    end }
end

case "HDR-27" {
  "a message may arrive byte by byte",
  function(c)
    local ends = {}
    for i = 1, 31 do ends[i] = i end
    c:pieces(msg.get_info { id = 5 }, ends, 0.002)
    local m, why = c:receive()
    check(m and m.h.id == 5 and bits(m) == F.REPLY and #m.body == 16,
          "GET_INFO sent in 32 pieces: %s instead of a success reply", m and
          string.format("flags 0x%x, %d bytes", m.h.flags, m.h.size) or why)
    c:alive()
  end }

case "HDR-28" {
  "header and body may arrive apart",
  function(c)
    c:pieces(msg.get_info { id = 5 }, { 16 }, 0.2)
    local m, why = c:receive()
    check(m and m.h.id == 5 and bits(m) == F.REPLY and #m.body == 16,
          "header and body of GET_INFO sent apart: %s instead of a success reply", m and
          string.format("flags 0x%x, %d bytes", m.h.flags, m.h.size) or why)
    c:alive()
  end }

case "HDR-29" {
  "messages that arrive together are all served",
  function(c)
    local bytes = ""
    for i = 1, 10 do bytes = bytes .. msg.get_info { id = 0x100 + i } end
    c:raw(bytes)
    for i = 1, 10 do
      local m, why = c:receive()
      check(m, "%d of 10 replies came (%s)", i - 1, why)
      check_eq(m.h.id, 0x100 + i, "msg_id of the next reply")
    end
  end }
