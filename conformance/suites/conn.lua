-- SPDX-License-Identifier: BSD-3-Clause
--
-- Connections: order, pipelining, disconnects in all the wrong moments, and several clients.

local LINE = 0x3c       -- PCI interrupt line: a byte for software to keep, without effect

local function config(c, offset, count)
  local how, m = c:region_read { region = PCI.CONFIG, offset = offset, count = count }:any()
  return how == "ok" and m.data or skip("configuration space cannot be read in %d bytes", count)
end

-- How many of `most` commands this server answers within `seconds`, by the fastest of a few
-- GET_INFOs; and how long the first reply may take, as a server may do all that it has read
-- before it answers.
local function affordable(c, most, seconds)
  local least = math.huge
  for _ = 1, 5 do
    local before = now()
    c:alive()
    least = math.min(least, now() - before)
  end
  local n = math.max(10, math.min(most, math.floor(seconds / math.max(least, 1e-6))))
  if n < most then
    note("a reply takes %.1f ms: %d commands instead of %d", least * 1000, n, most)
  end
  return n, math.max(server.timeout, 2 * n * least)
end

-- For what takes as long as the replies do.
local function budget() return math.min(10, 4 * server.timeout) end

case "CONN-01" {
  "a thousand pipelined commands are answered in order",
  function(c)
    local kinds = {
      function(id) return msg.get_info { id = id } end,
      function(id) return msg.irq_info { id = id, index = 0 } end,
      function(id) return msg.region_info { id = id, index = PCI.CONFIG } end,
      function(id) return msg.region_read { id = id, region = PCI.CONFIG, count = 4 } end,
      function(id) return msg.irq_info { id = id, index = 0xffffffff } end,
    }
    local parts = {}
    local n, patience = affordable(c, 1000, budget())
    for id = 1, n do parts[id] = kinds[id % #kinds + 1](id) end
    c:raw(table.concat(parts))
    for id = 1, n do
      local m, why = c:receive(patience)
      check(m, "%d of %d replies came (%s)", id - 1, n, why)
      check(m.h.id == id, "not in order: reply %d has msg_id %d", id, m.h.id)
    end
  end }

-- Does cond() come true in time? d is a connection to pass the time with.
local function soon(d, cond)
  local deadline = now() + server.timeout
  while not cond() do
    if now() > deadline then return false end
    d:alive()
  end
  return true
end

-- Assigns a descriptor to the first vector of an interrupt. Returns a function that tells
-- whether the server still has it: by the end of a pipe, or by a look at the process of
-- a server that takes nothing but eventfds.
local function assign(c)
  local function set(fd)
    return c:set_irqs { index = c.need.irq, count = 1, flags = SET.EVENTFD | SET.TRIGGER,
                        fds = { fd } }:any()
  end
  local r, w = pipe()
  if set(w) == "ok" then
    w:close()
    return function() return not r:at_eof(0) end
  end
  local e, pid = eventfd(), c:peer()
  if set(e) ~= "ok" then skip("the server takes neither pipe nor eventfd as an interrupt") end
  if not pid or e:held_by(pid) == nil then
    skip("the server takes eventfds only, and its process cannot be looked at")
  end
  return function() return e:held_by(pid) end
end

case "CONN-02" {
  "an answer means that what came before without reply is done", needs = "irq",
  function(c)
    local held = assign(c)
    if not held() then skip("the server is not seen to keep an interrupt's descriptor") end
    c:raw(msg.set_irqs { index = c.need.irq, flags = SET.NONE | SET.TRIGGER, no_reply = true,
                         id = 0x100 } .. msg.get_info { id = 0x101 })
    c:expect(0x101):ok()
    check(not held(), "GET_INFO is answered, and the earlier SET_IRQS (which closes a "
          .. "descriptor) is not done")
  end }

local MANY = 10000
local function pipeline(n)
  local parts = {}
  for id = 1, n do parts[id] = msg.get_info { id = id } end
  return table.concat(parts)
end

case "CONN-03" {
  "a client that sends far more than it reads gets all its answers", timeout = 60,
  function(c)
    local n, patience = affordable(c, MANY, budget())
    local bytes = pipeline(n)
    c:stop_reading(true)
    local sent = c:raw(bytes, { timeout = 1 })
    c:stop_reading(false)
    if sent < #bytes then c:raw(bytes:sub(sent + 1), { timeout = patience }) end
    for id = 1, n do
      local m, why = c:receive(patience)
      if why == "closed" then return note("the server closed after %d replies", id - 1) end
      check(m, "%d of %d pipelined commands were answered (%s)", id - 1, n, why)
      check_eq(m.h.id, id, "msg_id of the next reply")
    end
  end }

case "CONN-03" {
  "a client that does not read keeps no other waiting", needs = "second_client", timeout = 60,
  function(c)
    local d = connect()
    -- The other client's turn may come when all that was read is done.
    local bytes = pipeline((affordable(c, MANY, server.timeout / 2)))
    c:stop_reading(true)
    c:raw(bytes, { timeout = 1 })
    for _ = 1, 10 do d:alive() end
  end }

case "CONN-04" {
  "a disconnect drops the DMA windows", needs = "dma",
  function(c)
    local pid, m = c:peer(), c:memory(0x2000)
    c:dma_map { address = 0x10000, size = 0x2000, fd = m }:ok()
    c:close()
    local d = connect()
    local function held()
      local seen = pid and m:held_by(pid)
      if seen == nil then return not m:seal(true) end
      return seen
    end
    check(soon(d, function() return not held() end),
          "the memory of a DMA window is still held after the disconnect")
    d:dma_map { address = 0x10000, size = 0x2000, fd = d:memory(0x2000) }:ok()
  end }

case "CONN-05" {
  "a disconnect closes the interrupt descriptors", needs = "irq",
  function(c)
    local held = assign(c)
    if not held() then skip("the server is not seen to keep an interrupt's descriptor") end
    c:close()
    local d = connect()
    check(soon(d, function() return not held() end),
          "an interrupt descriptor is still open after the disconnect")
  end }

case "CONN-07" {
  "a hundred clients in a row are served", timeout = 120,
  function(c)
    local deadline = now() + 60
    for k = 2, 100 do
      c:close()
      c = connect()
      if now() > deadline then
        note("the server is slow: %d clients instead of 100", k)
        break
      end
    end
    c:alive()
  end }

case "CONN-08" {
  "half a message is discarded with its connection", needs = "pci_config", timeout = 60,
  function(c)
    local before = config(c, LINE, 1)
    local bytes = msg.region_write { region = PCI.CONFIG, offset = LINE,
                                     data = string.char(before:byte() ~ 0xff) .. ("x"):rep(15) }
    local deadline = now() + 30
    -- The longest first: they look most like a message, if there is no time for all.
    for k = 1, 40 do
      local len = 41 - k
      c:raw(bytes:sub(1, len))
      c:close()
      c = connect()
      if now() > deadline then
        note("the server is slow: %d of 40 lengths were tried", k)
        break
      end
    end
    check(config(c, LINE, 1) == before, "half a REGION_WRITE was executed")
  end }

for _, len in ipairs { 8, 16, 40 } do
  case "CONN-08" {
    "descriptors of half a message are closed (" .. len .. " bytes of it)",
    function(c)
      local a, b = socketpair()
      c:raw(msg.dma_map { address = 0x10000, size = 0x1000 }:sub(1, len), { fds = { b } })
      b:close()
      c:close()
      check(a:at_eof(server.timeout), "a descriptor of half a message was kept")
    end }
end

case "CONN-09" {
  "a client that leaves without its replies does no harm",
  function(c)
    local index, size = PCI.CONFIG, 64
    local list = c:regions()
    for i = 0, #list do
      if list[i].flags & REGION.READ ~= 0 and math.ult(size, list[i].size) then
        index, size = i, list[i].size
      end
    end
    local count = math.ult(size, 65536) and size or 65536
    count = math.min(count, c.server.limits.max_data_xfer_size)
    -- A server may do all of it before it sees that nobody is there.
    local n = affordable(c, 500, server.timeout / 4)
    for _ = 1, 3 do
      c:stop_reading(true)
      c:raw(msg.region_read { region = index, count = count, id = 1 }:rep(n // 10)
            .. msg.get_info { id = 2 }:rep(n), { timeout = 1 })
      c:close()
      c = connect()
    end
    c:alive()
  end }

case "CONN-10" {
  "a half-closed connection is closed after its last answer",
  function(c)
    c:raw(msg.get_info { id = 1 })
    c:shutdown()
    local closed, replies = c:wait_closed()
    check(closed, "the connection stays open after the client shut it down")
    note("%d replies came before the close", replies)
  end }

case "CONN-11" {
  "a silent connection does not keep the server from ending", connect = "none",
  needs = "spawned", stops_server = true,
  function()
    local silent = connect { negotiate = false }
    silent:receive(0.3)     -- time for the server to come to rely on more
    check(server.terminate(server.timeout), "while a silent connection is open, SIGTERM does not "
          .. "end the server")
  end }

case "CONN-11" {
  "a silent connection keeps no other waiting", needs = "second_client",
  function(c)
    connect { negotiate = false }
    c:alive()
    local d = connect { negotiate = false }
    d:version {}:ok()
  end }

case "CONN-12" {
  "two clients get their own answers and nobody else's", needs = "second_client",
  function(c)
    local d = connect()
    for i = 1, 10 do
      c:raw(msg.get_info { id = 0x1000 + i })
      d:raw(msg.get_info { id = 0x2000 + i })
      for first, o in pairs { [0x1000] = c, [0x2000] = d } do
        local m, why = o:receive()
        check(m and m.h.id == first + i, "a connection got %s instead of its reply: that went to "
              .. "the other", m and string.format("msg_id 0x%x", m.h.id) or why)
      end
    end
  end }

case "CONN-13" {
  "two clients have windows of their own", needs = { "second_client", "dma" },
  function(c)
    local d = connect()
    local window = { address = 0x10000, size = 0x1000 }
    for name, o in pairs { first = c, second = d } do
      local how = o:dma_map { address = 0x10000, size = 0x1000, fd = o:memory(0x1000) }:any()
      check(how == "ok", "a window of one client is in the way of the other (%s): %s", name, how)
    end
    check(c:dma_unmap(window):any() == "ok", "a client cannot unmap its window")
    check(d:dma_unmap(window):any() == "ok", "a client's window went with the other's")
  end }

case "CONN-13" {
  "two clients have interrupts of their own", needs = { "second_client", "irq" },
  function(c)
    local d, mine, theirs = connect(), eventfd(), eventfd()
    local function set(o, fields)
      fields.index, fields.start, fields.count = o.need.irq, 0, 1
      return o:set_irqs(fields):any()
    end
    if set(c, { flags = SET.EVENTFD | SET.TRIGGER, fds = { mine } }) ~= "ok" or
       set(d, { flags = SET.EVENTFD | SET.TRIGGER, fds = { theirs } }) ~= "ok" then
      skip("the server refuses the eventfds")
    end
    if set(c, { flags = SET.NONE | SET.TRIGGER }) ~= "ok" then
      skip("the server does not fire on request")
    end
    d:alive()
    check_eq(theirs:count(), 0, "signals of one client's interrupt at the other")
  end }

case "CONN-14" {
  "every client negotiates for itself",
  function(c)
    c:close()
    c = connect { negotiate = false }
    local how = c:get_info {}:any()
    check(how ~= "ok", "GET_INFO was executed on a new connection, before VERSION")
  end }

case "CONN-18" {
  "SIGTERM ends the server", needs = "spawned", stops_server = true,
  function()
    local ended, how = server.terminate(server.timeout)
    check(ended, "SIGTERM does not end the server within %g s", server.timeout)
    note("%s", how)
  end }

case "CONN-18" {
  "the socket file goes with the server", needs = "spawned", stops_server = true,
  function()
    local ended, _, left = server.terminate(server.timeout)
    if not ended then skip("SIGTERM does not end the server") end
    check(not left, "the socket file is left behind")
  end }
