-- SPDX-License-Identifier: BSD-3-Clause
--
-- The language that cases are written in; docs/scenarios.md describes it.
--
-- The engine hands over its functions in `ct`. Everything else here is Lua: cases,
-- connections, commands, expectations, probes. What this chunk returns is for the engine.

local ct = ...

local FAILED <const> = setmetatable({}, { __tostring = function() return "(verdict)" end })

CMD = {
  VERSION = 1, DMA_MAP = 2, DMA_UNMAP = 3, DEVICE_GET_INFO = 4, DEVICE_GET_REGION_INFO = 5,
  DEVICE_GET_REGION_IO_FDS = 6, DEVICE_GET_IRQ_INFO = 7, DEVICE_SET_IRQS = 8,
  REGION_READ = 9, REGION_WRITE = 10, DMA_READ = 11, DMA_WRITE = 12, DEVICE_RESET = 13,
  REGION_WRITE_MULTI = 15, DEVICE_FEATURE = 16, MIG_DATA_READ = 17, MIG_DATA_WRITE = 18,
}
F = { TYPE = 0xf, REPLY = 0x1, NO_REPLY = 0x10, ERROR = 0x20 }
DEVICE = { RESET = 0x1, PCI = 0x2 }
REGION = { READ = 0x1, WRITE = 0x2, MMAP = 0x4, CAPS = 0x8 }
CAP = { SPARSE_MMAP = 1, TYPE = 2, MSIX_MAPPABLE = 3, SPARSE_MMAP_FDS = 0x8001 }
IRQ = { EVENTFD = 0x1, MASKABLE = 0x2, AUTOMASKED = 0x4, NORESIZE = 0x8 }
SET = { NONE = 0x1, BOOL = 0x2, EVENTFD = 0x4, MASK = 0x8, UNMASK = 0x10, TRIGGER = 0x20 }
DMA = { READ = 0x1, WRITE = 0x2, MMAP = 0x4, FILE_IO = 0x8 }
UNMAP = { GET_DIRTY_BITMAP = 0x1, ALL = 0x2 }
IO_FD = { IOEVENTFD = 0, IOREGIONFD = 1, IOEVENTFD_SHADOW = 2 }
FEATURE = {
  GET = 0x10000, SET = 0x20000, PROBE = 0x40000, MIGRATION = 1, MIG_DEVICE_STATE = 2,
  DMA_LOGGING_START = 6, DMA_LOGGING_STOP = 7, DMA_LOGGING_REPORT = 8,
}
PCI = {
  BAR0 = 0, BAR1 = 1, BAR2 = 2, BAR3 = 3, BAR4 = 4, BAR5 = 5, ROM = 6, CONFIG = 7, VGA = 8,
  INTX = 0, MSI = 1, MSIX = 2, ERR = 3, REQ = 4,
}
E = {
  ENOENT = 2, EIO = 5, E2BIG = 7, EBADF = 9, EACCES = 13, EFAULT = 14, EBUSY = 16,
  EEXIST = 17, ENODEV = 19, EINVAL = 22, ENOTTY = 25, ENOSPC = 28, ENOSYS = 38,
  EOPNOTSUPP = 95,
}

-- ------------------------------------------------------------------ verdicts --

-- Of the running case, see ct.env().
local env = setmetatable({}, {
  __index = function() error("only a running case may do that", 3) end,
})

--- Text of a value: numbers in hex, bytes in groups of four.
function hex(x)
  if math.type(x) == "integer" then
    return string.format("0x%x", x)
  elseif type(x) == "string" then
    local shown = x:sub(1, 64):gsub(".", function(b) return string.format("%02x", b:byte()) end)
    return shown:gsub("(%x%x%x%x%x%x%x%x)(%x)", "%1 %2") .. (#x > 64 and " ..." or "")
  end
  return tostring(x)
end

local function text(fmt, ...)
  return select("#", ...) > 0 and string.format(fmt, ...) or fmt
end

local function verdict(kind, message, timed_out)
  ct.record(kind, message, timed_out)
  error(FAILED, 0)
end

function fail(fmt, ...) verdict("fail", text(fmt, ...)) end
function skip(fmt, ...) verdict("skip", text(fmt, ...)) end
function warn(fmt, ...) ct.note(text(fmt, ...), true) end
function note(fmt, ...) ct.note(text(fmt, ...), false) end
print = function(...)
  local out = table.pack(...)
  for i = 1, out.n do out[i] = tostring(out[i]) end
  ct.trace("-- " .. table.concat(out, " "))
end

function check(cond, fmt, ...)
  if not cond then fail(fmt or "check failed", ...) end
  return cond
end

function check_eq(got, want, what)
  if got ~= want then fail("%s: got %s, want %s", what or "value", hex(got), hex(want)) end
  return got
end

-- -------------------------------------------------------------- capabilities --

local function json(v)
  if type(v) == "table" then
    local parts = {}
    if #v > 0 then
      for i, x in ipairs(v) do parts[i] = json(x) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for k in pairs(v) do parts[#parts + 1] = k end
    table.sort(parts)
    for i, k in ipairs(parts) do parts[i] = json(tostring(k)) .. ":" .. json(v[k]) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif type(v) == "string" then
    return '"' .. v:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end)
           .. '"'
  end
  return tostring(v)
end

--- JSON text of a table: for VERSION's `json`.
to_json = json

-- What the runner proposes when a case does not say: limits only, no feature.
local usual_caps = {
  max_msg_fds = 16, max_data_xfer_size = 1048576, max_dma_maps = 65535, pgsizes = 4096,
}
local default_limits = {
  max_msg_fds = 1, max_data_xfer_size = 1048576, max_dma_maps = 65535, pgsizes = 4096,
}

-- What VERSION was answered, in the form of c.server.
local function server_of(reply)
  local object = type(reply.object) == "table" and reply.object or {}
  local caps = type(object.capabilities) == "table" and object.capabilities or nil
  local limits = {}
  for name, absent in pairs(default_limits) do
    local said = caps and caps[name]
    limits[name] = math.type(said) and math.tointeger(said) or absent
  end
  return { major = reply.major, minor = reply.minor, caps = caps, limits = limits,
           json = reply.json }
end

-- ----------------------------------------------------------------- messages --

-- Fields that every command takes besides its own.
local common = { id = 1, hflags = 1, no_reply = 1, error = 1, msg_size = 1, pad = 1, cut = 1,
                 fds = 1 }

local commands = {
  version = { CMD.VERSION, "major minor json data" },
  dma_map = { CMD.DMA_MAP, "argsz flags offset address size fd" },
  dma_unmap = { CMD.DMA_UNMAP, "argsz flags address size pgsize bitmap_size" },
  get_info = { CMD.DEVICE_GET_INFO, "argsz flags num_regions num_irqs" },
  region_info = { CMD.DEVICE_GET_REGION_INFO, "argsz flags index cap_offset size offset" },
  region_io_fds = { CMD.DEVICE_GET_REGION_IO_FDS, "argsz flags index count" },
  irq_info = { CMD.DEVICE_GET_IRQ_INFO, "argsz flags index count" },
  set_irqs = { CMD.DEVICE_SET_IRQS, "argsz flags index start count data" },
  region_read = { CMD.REGION_READ, "region offset count" },
  region_write = { CMD.REGION_WRITE, "region offset count data" },
  dma_read = { CMD.DMA_READ, "address count data" },
  dma_write = { CMD.DMA_WRITE, "address count data" },
  reset = { CMD.DEVICE_RESET, "" },
  write_multi = { CMD.REGION_WRITE_MULTI, "writes count" },
  feature = { CMD.DEVICE_FEATURE, "argsz flags data" },
  mig_data_read = { CMD.MIG_DATA_READ, "argsz size" },
  mig_data_write = { CMD.MIG_DATA_WRITE, "argsz size data" },
}
for _, entry in pairs(commands) do
  entry.fields = {}
  for name in entry[2]:gmatch("%S+") do entry.fields[name] = true end
end

local function check_fields(name, own, fields)
  if type(fields) ~= "table" then
    error(name .. ": a table of fields is wanted, not a " .. type(fields), 3)
  end
  for k in pairs(fields) do
    if not common[k] and not own[k] then
      error(string.format("%s: there is no field '%s'", name, tostring(k)), 3)
    end
  end
end

-- What some commands' fields mean beyond what the codecs know.
local prepare = {
  version = function(f)
    if f.json == nil and f.data == nil then
      f.data = json { capabilities = usual_caps } .. "\0"
    elseif f.json then
      f.data = (type(f.json) == "table" and json(f.json) or f.json) .. "\0"
    end
  end,
  write_multi = function(f)
    local parts = {}
    for i, w in ipairs(f.writes or {}) do
      local data = w.data or w[3] or ""
      parts[i] = string.pack("<I8I4I4c8", w.offset or w[2] or 0, w.region or w[1] or 0,
                             w.count or #data, data .. string.rep("\0", 8 - #data))
    end
    f.data = table.concat(parts)
  end,
  dma_map = function(f)
    if f.fd then f.fds = table.pack(f.fd, table.unpack(f.fds or {})) end
  end,
}

local function body_of(name, fields)
  if prepare[name] then prepare[name](fields) end
  return ct.body(fields, commands[name][1])
end

local function padding(pad)
  return type(pad) == "number" and string.rep("\0", pad) or pad or ""
end

-- The bytes of one message, and the header flags.
local function assemble(number, body, f, id)
  local flags = (f.hflags or 0) | (f.no_reply and F.NO_REPLY or 0)
  body = (f.cut and body:sub(1, f.cut) or body) .. padding(f.pad)
  return ct.header { id = id, command = number, flags = flags, error = f.error or 0,
                     size = f.msg_size or 16 + #body } .. body
end

local function copy(t)
  local u = {}
  for k, v in pairs(t or {}) do u[k] = v end
  return u
end

--- msg.get_info{...}: the message as bytes, not sent. Its id is 0 unless given.
msg = {}
for name, entry in pairs(commands) do
  msg[name] = function(fields)
    local f = copy(fields)
    check_fields("msg." .. name, entry.fields, f)
    return assemble(entry[1], body_of(name, f), f, f.id or 0)
  end
end

function msg.command(number, body, fields)
  local f = copy(fields)
  check_fields("msg.command", {}, f)
  return assemble(number, body or "", f, f.id or 0)
end

-- ------------------------------------------------------------------- replies --

local Reply = {}
Reply.__index = Reply

local function fill(m)
  local reply = m.h.flags & F.TYPE ~= 0
  m.malformed = ct.decode(m, m.h.command, m.body, reply)
  if m.object and type(m.object) == "table" then m.caps = m.object.capabilities end
  return m
end

local function describe(m)
  return m and ct.text(m) or "nothing"
end

local function took(seconds)
  return string.format("%g s", seconds)
end

-- Wait for the message; afterwards either self.m or self.why is set.
function Reply:await()
  if self.m or self.why then return end
  local m, why = self.c.sock:take(self.id, env.timeout, self.c.strict and self.c.ids or nil)
  if m then
    self.m = fill(m)
  else
    self.why = why
  end
end

-- "GET_INFO (id 3)"
function Reply:name()
  return string.format("%s (id %d)", self.what, self.id)
end

-- Fail: wanted something, got what is here.
function Reply:bad(wanted, detail)
  local came
  if self.m then
    came = ct.text(self.m)
  elseif self.why == "closed" then
    came = "the connection was closed"
  elseif self.why == "garbage" then
    came = "bytes that are no message: the stream is lost"
  elseif self.why == "stray" then
    local stray = self.c.sock:take(nil, 0)
    came = "a reply that answers no command of this connection: " .. describe(stray)
  else
    came = "no answer within " .. took(env.timeout)
    local other = self.c.sock:queued() > 0 and self.c.sock:take(nil, 0)
    if other then came = came .. "; instead there was " .. ct.text(other) end
  end
  verdict("fail", string.format("%s to %s wanted; got: %s%s", wanted, self:name(), came,
                                detail and " (" .. detail .. ")" or ""),
          self.why == "timeout")
end

-- nil, or what is wrong with the header of a success reply.
local function wrong_header(m, number)
  local h = m.h
  if h.flags & F.TYPE ~= F.REPLY then return "Type is not 1" end
  if h.command ~= number then return "it names another command" end
  if h.size ~= 16 + #m.body then return "msg_size is not what came" end
  if h.flags & F.ERROR ~= 0 then return "the Error bit is set" end
end

local function wrong_error(m, number)
  local h = m.h
  if h.command ~= number then return "it names another command" end
  if h.flags & (F.TYPE | F.ERROR) ~= F.REPLY | F.ERROR then
    return "flags of an error are 0x21"
  end
  if h.size ~= 16 or #m.body ~= 0 then return "an error is 16 bytes" end
  if #m.fds ~= 0 then return "an error carries no descriptors" end
end

local function is_error(m)
  return m.h.flags & F.ERROR ~= 0
end

-- The checks of a message that is here; `wanted` is for the failure.
function Reply:check_ok(wanted)
  local wrong = wrong_header(self.m, self.number) or self.m.malformed
  if wrong then self:bad(wanted, wrong) end
  if self.number == CMD.VERSION and not self.c.server then
    self.c.server = server_of(self.m)
  end
  return self.m
end

function Reply:check_error(wanted, errnos)
  local wrong = wrong_error(self.m, self.number)
  if wrong then self:bad(wanted, wrong) end
  for _, e in ipairs(errnos or {}) do
    if self.m.h.error == e then return self.m.h end
  end
  if errnos and #errnos > 0 then
    local names = {}
    for i, e in ipairs(errnos) do names[i] = ct.errno_name(e) end
    self:bad(wanted, "errno " .. table.concat(names, " or ") .. " is asked for")
  end
  return self.m.h
end

function Reply:ok()
  self:await()
  if not self.m then self:bad("a success reply") end
  return self:check_ok("a success reply")
end

function Reply:refused(...)
  self:await()
  if not self.m then self:bad("a header-only error reply") end
  return self:check_error("a header-only error reply", { ... })
end

function Reply:refused_or_closed(...)
  self:await()
  if self.why == "closed" then return nil end
  if not self.m then self:bad("an error reply or a close") end
  return self:check_error("an error reply or a close", { ... })
end

function Reply:closed()
  self:await()
  if self.why ~= "closed" then self:bad("a closed connection as the answer") end
end

function Reply:ok_or_refused()
  self:await()
  if not self.m then self:bad("a reply") end
  if is_error(self.m) then
    self:check_error("a success or error reply")
    return nil
  end
  return self:check_ok("a success or error reply")
end

function Reply:any()
  self:await()
  if self.why == "closed" then return "closed" end
  if not self.m then self:bad("a reply or a close") end
  if is_error(self.m) then
    self:check_error("a proper reply or a close")
    return "error", self.m
  end
  return "ok", self:check_ok("a proper reply or a close")
end

function Reply:unanswered()
  local later = self.c:get_info {}
  later:await()
  if not later.m and later.why ~= "closed" then later:bad("a later command's answer") end
  local m = self.c.sock:take(self.id, 0)
  if m then
    self.m = fill(m)
    self:bad("no answer")
  end
  return later.m and "silent" or "closed"
end

function Reply:get()
  self:await()
  if self.m then return self.m end
  if self.why == "closed" then return nil end
  self:bad("any message")
end

-- ---------------------------------------------------------------- connection --

local Conn = {}
local conn_count = 0

Conn.__index = Conn

local function next_id(c)
  c.last_id = (c.last_id + 1) & 0xffff
  return c.last_id
end

local function reply_to_come(c, id, number, what)
  return setmetatable({ c = c, id = id, number = number, what = what }, Reply)
end

-- Sends one message with its peculiarities.
local function send(c, number, body, f, what)
  local id = f.id or next_id(c)
  c.ids[id] = number
  if f.cut or f.msg_size then c.strict = false end
  c.sock:send(assemble(number, body, f, id), f.fds, env.timeout)
  return reply_to_come(c, id, number, what)
end

for name, entry in pairs(commands) do
  local what = ct.command_name(entry[1])
  Conn[name] = function(c, fields)
    local f = copy(fields)
    check_fields(name, entry.fields, f)
    return send(c, entry[1], body_of(name, f), f, what)
  end
end

function Conn:command(number, body, fields)
  local f = copy(fields)
  check_fields("command", {}, f)
  return send(self, number, body or "", f, ct.command_name(number))
end

function Conn:raw(bytes, options)
  local o = options or {}
  self.strict = false
  return self.sock:send(bytes, o.fds, o.timeout or env.timeout)
end

function Conn:pieces(bytes, ends, pause)
  local from = 1
  self.strict = false
  for _, n in ipairs(ends) do
    if n >= from and n < #bytes then
      self.sock:send(bytes:sub(from, n), nil, env.timeout)
      from = n + 1
      if pause and pause > 0 then ct.sleep(pause) end
    end
  end
  self.sock:send(bytes:sub(from), nil, env.timeout)
end

function Conn:expect(id, number)
  self.ids[id] = number or 0
  local r = reply_to_come(self, id, number, number and ct.command_name(number) or "a message")
  if not number then
    -- The number is that of whatever answers.
    local await = Reply.await
    r.await = function(self)
      await(self)
      self.number = self.m and self.m.h.command
    end
  end
  return r
end

function Conn:alive()
  return self:get_info {}:ok()
end

function Conn:alive_or_closed()
  local r = self:get_info {}
  r:await()
  if r.why == "closed" then return "closed" end
  r:ok()
  return "alive"
end

function Conn:receive(seconds)
  local m, why = self.sock:take(nil, seconds or env.timeout)
  if m then return fill(m) end
  return nil, why
end

--- Messages that came and that nobody took. Does not wait.
function Conn:leftover()
  local list = {}
  while true do
    local m = self.sock:take(nil, 0)
    if not m then return list end
    list[#list + 1] = fill(m)
  end
end

function Conn:wait_closed(seconds)
  local deadline = ct.now() + (seconds or env.timeout)
  local dropped = 0
  while true do
    local m, why = self.sock:take(nil, deadline - ct.now())
    if m then
      dropped = dropped + 1
    else
      return why == "closed", dropped
    end
  end
end

function Conn:close() self.sock:close() end
function Conn:shutdown() self.sock:shutdown() end
function Conn:stop_reading(yes) self.sock:pause(yes ~= false) end
function Conn:peer() return self.sock:peer() end
function Conn:memory(size) return ct.memfd(size) end

-- Asks one index; again when the answer does not fit.
local function whole_region_info(c, index)
  local info = c:region_info { index = index, argsz = 4096 }:ok()
  if info.argsz > 4096 and info.argsz <= 1 << 20 then
    info = c:region_info { index = index, argsz = info.argsz }:ok()
  end
  return info
end

function Conn:info()
  if not self.cached_info then self.cached_info = self:get_info {}:ok() end
  return self.cached_info
end

function Conn:regions()
  if not self.cached_regions then
    local n, list = self:info().num_regions, {}
    check(n <= 1024, "num_regions is %d", n)
    for i = 0, n - 1 do list[i] = whole_region_info(self, i) end
    self.cached_regions = list
  end
  return self.cached_regions
end

function Conn:irqs()
  if not self.cached_irqs then
    local n, list = self:info().num_irqs, {}
    check(n <= 1024, "num_irqs is %d", n)
    for i = 0, n - 1 do list[i] = self:irq_info { index = i }:ok() end
    self.cached_irqs = list
  end
  return self.cached_irqs
end

local need = setmetatable({}, {
  __index = function(_, name) return ct.need(name) end,
  __newindex = function() error("needs are not to be set", 2) end,
})

local open_conns = {}   -- sockets of this case

-- A connected, silent connection, or nil and why.
local function open(seconds)
  conn_count = conn_count + 1
  local sock, why = ct.connect(seconds, conn_count)
  if not sock then return nil, why end
  local c = setmetatable({ sock = sock, ids = {}, last_id = 0, strict = true, need = need },
                         Conn)
  open_conns[#open_conns + 1] = c
  return c
end

local function others_open(c)
  for _, o in ipairs(open_conns) do
    if o ~= c and o.sock:state() == "open" then return true end
  end
  return false
end

-- Why a connection could not be had: that may be the server's good right.
local function no_connection(c, what)
  if ct.server_end(what == "closed" and 1 or 0) == "exited" then
    skip("the server exited when its last client had left")
  end
  if c and others_open(c) then
    skip("the server does not serve a second client beside the first")
  end
end

local function version_fields(options)
  local f = { major = options.major, minor = options.minor }
  if options.caps then
    f.json = { capabilities = options.caps }
  end
  return f
end

--- Another connection. A server that is coming up, or is still busy with the client
--- before, may close it or answer an error for a while: tried again until the time is over.
function connect(options)
  local o = options or {}
  local seconds = o.timeout or math.max(env.timeout, env.start_timeout)
  local deadline = ct.now() + seconds
  local pause = 0.001
  local answered
  while true do
    local c, why = open(math.max(deadline - ct.now(), 0))
    if not c then
      if ct.server_end() == "exited" and not env.served and #open_conns == 0 then
        fail("the server ended before it took a connection: %s", why)
      end
      no_connection(nil, why)
      if ct.server_end() then fail("the server is gone: %s", why) end
      verdict("fail", string.format("no connection to the server within %s: %s",
                                    took(seconds), why), true)
    end
    if o.negotiate == false then return c end
    local r = c:version(version_fields(o))
    r:await()
    local refused = r.m and is_error(r.m)
    if r.m and not refused then
      r:ok()
      return c
    end
    -- One that answers at all is up: no need to wait for it to come up.
    if refused and not answered then
      answered = true
      deadline = math.min(deadline, ct.now() + env.timeout)
    end
    local why_not = refused and "refused" or r.why
    if not refused and r.why ~= "closed" or ct.now() + pause >= deadline then
      no_connection(c, why_not)
      r:ok()
    end
    if ct.server_end() == "exited" then no_connection(c, why_not) end
    c:close()
    ct.sleep(pause)
    pause = math.min(pause * 2, 0.05)
  end
end

eventfd, pipe, socketpair = ct.eventfd, ct.pipe, ct.socketpair
random = math.random
now = ct.now

server = setmetatable({}, {
  __index = function(_, name)
    if name == "socket" then return env.socket end
    if name == "timeout" then return env.timeout end
    if name == "terminate" then return ct.terminate end
    error("there is no '" .. tostring(name) .. "' in server", 2)
  end,
})

-- --------------------------------------------------------------------- cases --

local cases = {}
local seen = {}         -- number of cases by id

local function list_of(v)
  if v == nil then return {} end
  return type(v) == "table" and v or { v }
end

local function check_list(list, what, known, level)
  for _, name in ipairs(list) do
    if type(name) ~= "string" or not known(name) then
      error(string.format("%s '%s' is not known", what, tostring(name)), level + 1)
    end
  end
  return list
end

local option_types = { connect = "string", caps = "table", timeout = "number",
                       stops_server = "boolean", needs = "any", also = "any" }

local function check_option(name, value)
  local wanted = option_types[name]
  if not wanted then error("a case has no option '" .. tostring(name) .. "'", 4) end
  if wanted ~= "any" and type(value) ~= wanted then
    error(string.format("option '%s' is a %s; it takes a %s", name, type(value), wanted), 4)
  end
end

local function define(id, t)
  if type(t) ~= "table" then error("a case is a table", 3) end
  local title, fn = t[1], t[#t]
  if type(title) ~= "string" or type(fn) ~= "function" or #t ~= 2 then
    error("a case is { \"title\", options, function(c) ... end }", 3)
  end
  local new = { id = id, title = title, fn = fn, connect = t.connect or "negotiated",
                caps = t.caps, timeout = t.timeout, stops_server = t.stops_server }
  for k, v in pairs(t) do
    if math.type(k) ~= "integer" then check_option(k, v) end
  end
  if new.connect ~= "negotiated" and new.connect ~= "raw" and new.connect ~= "none" then
    error("connect is \"negotiated\", \"raw\" or \"none\"", 3)
  end
  new.needs = check_list({ table.unpack(list_of(t.needs)) }, "need", ct.known_need, 3)
  new.also = check_list(list_of(t.also), "id", ct.known_id, 3)
  if new.stops_server then table.insert(new.needs, "spawned") end     -- to start it again
  seen[id] = (seen[id] or 0) + 1
  new.name = seen[id] == 1 and id or id .. "." .. seen[id]
  cases[#cases + 1] = new
end

function case(id)
  check_list({ id }, "id", ct.known_id, 2)
  return function(t) define(id, t) end
end

-- FNV-1a: the same case gets the same choices, whatever runs before it.
local function hash(s)
  local h = 0xcbf29ce484222325
  for i = 1, #s do h = (h ~ s:byte(i)) * 0x100000001b3 end
  return h
end

local function run(index)
  local k = cases[index]
  local c
  env = ct.env()
  math.randomseed(env.seed, hash(k.name))
  if k.connect ~= "none" then
    c = connect { negotiate = k.connect == "negotiated", caps = k.caps }
  end
  ct.started()
  k.fn(c)
end

-- -------------------------------------------------------------------- probes --

local function absent(fmt, ...) verdict("skip", text(fmt, ...)) end

-- A probe for regions: the first one that suits.
local function region_where(what, suits)
  return function(c)
    local list = c:regions()
    for i = 0, #list do
      if list[i] and suits(list[i], i, c) then return i end
    end
    absent("no region is %s", what)
  end
end

local function has_irq(index)
  return function(c)
    local list = c:irqs()
    for i = 0, #list do
      if list[i] and list[i].count > 0 and (index == nil or index == i) then return i end
    end
    absent(index and "this kind of interrupt has no vectors" or "no interrupt has vectors")
  end
end

local function has_feature(index, method)
  return function(c)
    local r = c:feature { flags = FEATURE.PROBE | method | index }
    if r:any() ~= "ok" then absent("the server says that it has no such feature") end
    return 1
  end
end

local function migration_flags(c)
  has_feature(FEATURE.MIGRATION, FEATURE.GET)(c)
  local m = c:feature { flags = FEATURE.GET | FEATURE.MIGRATION, argsz = 16 }:ok()
  return #m.data >= 8 and string.unpack("<I8", m.data) or 0
end

local function cap_in(info, id)
  for _, cap in ipairs(info.chain or {}) do
    if cap.id == id then return cap end
  end
end

local function keeps_memory(c)
  local memory = c:memory(0x1000)
  local r = c:dma_map { address = 0x7ff000000000, size = 0x1000, fd = memory }
  if r:any() ~= "ok" then absent("the server refuses DMA windows") end
  local held = memory:held_by(c:peer() or -1)
  if held == nil then held = not memory:seal(true) end
  c:dma_unmap { address = 0x7ff000000000, size = 0x1000 }:any()
  if not held then absent("the server keeps no descriptor of a DMA window") end
  return 1
end

local function negotiates(name, agreed)
  return function()
    local caps = copy(usual_caps)
    caps[name] = agreed == "object" and { supported = true } or true
    local c = connect { caps = caps }
    local said = c.server.caps and c.server.caps[name]
    if agreed == "object" then said = type(said) == "table" and said.supported end
    if said ~= true then absent("the server does not agree to %s", name) end
    return 1
  end
end

local function serves_second(c)
  local second = open(1)
  if second then
    local r = second:version {}
    local m = second.sock:take(r.id, math.min(1, env.timeout))
    if m and not is_error(m) then return 1 end
  end
  absent("the server does not serve a second client beside the first")
end

local probes = {
  pci_config = function(c)
    local info = c:info().num_regions > PCI.CONFIG and c:regions()[PCI.CONFIG]
    if not info or info.size == 0 then absent("there is no configuration space") end
    return PCI.CONFIG
  end,
  mappable_region = region_where("mappable", function(r)
    return r.size ~= 0 and r.flags & REGION.MMAP ~= 0
  end),
  sparse_mmap = region_where("mappable in part", function(r)
    return r.flags & REGION.MMAP ~= 0 and cap_in(r, CAP.SPARSE_MMAP)
  end),
  large_region = region_where("as large as max_data_xfer_size", function(r, _, c)
    return math.ult(0, r.size) and r.flags & REGION.READ ~= 0 and
           not math.ult(r.size, c.server.limits.max_data_xfer_size)
  end),
  read_only_region = region_where("readable but not writable", function(r)
    return r.size ~= 0 and r.flags & (REGION.READ | REGION.WRITE) == REGION.READ
  end),
  write_only_region = region_where("writable but not readable", function(r)
    return r.size ~= 0 and r.flags & (REGION.READ | REGION.WRITE) == REGION.WRITE
  end),
  device_specific_region = region_where("device specific", function(r, i)
    return i >= 9 and r.size ~= 0
  end),
  absent_region = region_where("absent", function(r) return r.size == 0 end),
  region_io_fds = region_where("served by descriptors of its own", function(r, i, c)
    if r.size == 0 then return false end
    local kind, m = c:region_io_fds { index = i }:any()
    return kind == "ok" and m.count > 0
  end),
  irq = has_irq(),
  intx = has_irq(PCI.INTX),
  msi = has_irq(PCI.MSI),
  msix = has_irq(PCI.MSIX),
  dma = keeps_memory,
  reset = function(c)
    if c:info().flags & DEVICE.RESET == 0 then absent("the RESET flag is not set") end
    return 1
  end,
  migration = has_feature(FEATURE.MIGRATION, FEATURE.GET),
  pre_copy = function(c)
    if migration_flags(c) & 4 == 0 then absent("the server has no PRE_COPY") end
    return 1
  end,
  no_pre_copy = function(c)
    if migration_flags(c) & 4 ~= 0 then absent("the server has PRE_COPY") end
    return 1
  end,
  dma_logging = has_feature(FEATURE.DMA_LOGGING_START, FEATURE.SET),
  write_multiple = negotiates("write_multiple"),
  twin_socket = negotiates("twin_socket", "object"),
  second_client = serves_second,
  device_profile = function() absent("no profile for this device was given") end,
  spawned = function()
    if not env.spawned then absent("the runner did not start the server") end
    return 1
  end,
}
local unconnected = { device_profile = true, spawned = true, write_multiple = true,
                      twin_socket = true }

-- Leave so that the server has noticed it when this returns: one that turns a second
-- client away must not see the next case as one. Some do not care for half a close; then
-- `env.patient` is false from the second time on.
local function part(c)
  if not env.patient or c.sock:state() ~= "open" then return end
  c:shutdown()
  if not c:wait_closed(0.3) and c.sock:state() == "open" then ct.unnoticed() end
end

local function part_all()
  for _, c in ipairs(open_conns) do part(c) end
end

local function probe(name)
  env = ct.env()
  local ok, found = pcall(function()
    return probes[name](not unconnected[name] and connect() or nil)
  end)
  part_all()
  if not ok then error(found, 0) end
  ct.found(found)
end

--- An uneventful client: for learning how the server behaves when one leaves.
local function visit()
  env = ct.env()
  connect():get_info {}:any()
end

--- Does the server take a new client? Any answer in proper frames will do; a server that
--- still deals with the client before may take its time, and gets some to become free for
--- the next case.
local function liveness()
  env = ct.env()
  local deadline = ct.now() + env.timeout
  local busy_until = ct.now() + math.min(0.5, env.timeout / 2)
  local pause = 0.001
  local why
  while ct.now() < deadline do
    local c
    c, why = open(math.max(deadline - ct.now(), 0))
    if not c then break end
    local r = c:version {}
    local m
    m, why = c.sock:take(r.id, math.max(deadline - ct.now(), 0))
    if m and (not is_error(m) or ct.now() >= busy_until) then return part(c) end
    c:close()
    ct.sleep(pause)
    pause = math.min(pause * 2, 0.05)
  end
  verdict("fail", "a new connection got no answer to VERSION within " .. took(env.timeout) ..
                  (why and " (" .. why .. ")" or ""), why == "timeout")
end

-- A misspelt name is an error where it is used, not a nil that travels.
local function strict(t, what)
  return setmetatable(t, { __index = function(_, name)
    error(string.format("there is no '%s'%s", tostring(name), what), 2)
  end })
end
for name, value in pairs(_G) do
  if type(value) == "table" and name:upper() == name and name ~= "_G" then
    strict(value, " in " .. name)
  end
end
strict(msg, " in msg")
strict(_G, "")

return { cases = cases, run = run, probe = probe, visit = visit, liveness = liveness,
         fail = fail, FAILED = FAILED }
