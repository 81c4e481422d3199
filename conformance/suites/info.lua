-- SPDX-License-Identifier: BSD-3-Clause
--
-- DEVICE_GET_INFO: what there is, and that what it says is there.

-- The numbers that device info gives, to be asked for one by one; absurd ones are refused.
local function counted(c, name)
  local n = c:info()[name]
  return check(n <= 1024 and n, "%s is %d: too many to ask for", name, n)
end

case "INFO-01" {
  "device info is 16 bytes and says so",
  function(c)
    local info = c:get_info { argsz = 16 }:ok()
    check_eq(info.h.size, 32, "msg_size of the reply")
    check_eq(info.argsz, 16, "argsz of the reply")
  end }

for _, argsz in ipairs { 32, 4096 } do
  case "INFO-02" {
    "an argsz of " .. argsz .. " gets the same 16 bytes",
    function(c)
      local how, info = c:get_info { argsz = argsz }:any()
      check(how == "ok", "argsz %d: %s", argsz, how)
      check_eq(#info.body, 16, "payload")
      check_eq(info.argsz, 16, "argsz of the reply")
    end }
end

case "INFO-03" {
  "an argsz below 16 is refused",
  function(c)
    for _, argsz in ipairs { 0, 8, 15 } do
      c:raw(msg.get_info { argsz = argsz, id = argsz })
      local m, why = c:receive()
      check(m and m.h.flags & 0x3f == 0x21 and m.h.size == 16, "argsz %d: %s instead of an error",
            argsz, m and "a reply of " .. m.h.size .. " bytes" or why)
    end
  end }

case "INFO-04" {
  "the PCI flag is set",
  function(c)
    check(c:info().flags & DEVICE.PCI ~= 0, "the PCI flag is clear (flags 0x%x)", c:info().flags)
  end }

case "INFO-05" {
  "no undefined device flag is set",
  function(c)
    check_eq(c:info().flags & ~(DEVICE.RESET | DEVICE.PCI), 0, "undefined device flags")
  end }

case "INFO-06" {
  "the RESET flag tells whether DEVICE_RESET works",
  function(c)
    local flags = c:info().flags
    local how = c:reset {}:any()
    if flags & DEVICE.RESET ~= 0 then
      check(how == "ok", "RESET is set, but DEVICE_RESET gives: %s", how)
    elseif how == "ok" then
      warn("RESET is clear, but DEVICE_RESET succeeds")
    end
  end }

case "INFO-07" {
  "num_regions covers the indices of PCI",
  function(c)
    local n = c:info().num_regions
    check(n >= 8, "num_regions is %d; PCI has 9", n)
    if n == 8 then warn("num_regions is 8: the VGA index is missing") end
  end }

case "INFO-08" {
  "num_irqs covers INTx, MSI and MSI-X",
  function(c)
    local n = c:info().num_irqs
    check(n >= 3, "num_irqs is %d; INTx, MSI and MSI-X are 3", n)
    if n ~= 5 then note("num_irqs is %d; 5 are usual", n) end
  end }

case "INFO-09" {
  "num_regions and num_irqs are within what clients take",
  function(c)
    local info = c:info()
    check(math.ult(info.num_regions, 101), "num_regions is %d; clients take 100",
          info.num_regions)
    check(math.ult(info.num_irqs, 51), "num_irqs is %d; clients take 50", info.num_irqs)
    if info.num_regions > 10 then
      warn("num_regions is %d; one client has room for 10", info.num_regions)
    end
  end }

case "INFO-10" {
  "device info does not change within a connection",
  function(c)
    local first = c:get_info {}:ok().body
    for i = 1, 10 do
      c:irq_info { index = 0 }:any()
      c:region_info { index = i % 2 * PCI.CONFIG }:any()
      c:region_read { region = PCI.CONFIG, count = 4 }:any()
      local now = c:get_info {}:ok().body
      check(now == first, "the replies differ: %s, then %s", hex(first), hex(now))
    end
  end }

case "INFO-11" {
  "every region below num_regions can be asked for",
  function(c)
    local n = counted(c, "num_regions")
    for i = 0, n - 1 do
      local how = c:region_info { index = i, argsz = 32 }:any()
      check(how == "ok", "region %d of %d: %s", i, n, how)
    end
  end }

case "INFO-12" {
  "every irq below num_irqs can be asked for",
  function(c)
    local n = counted(c, "num_irqs")
    for i = 0, n - 1 do
      local how = c:irq_info { index = i }:any()
      check(how == "ok", "irq %d of %d: %s", i, n, how)
    end
  end }

case "INFO-13" {
  "what stands in the request does not show in the reply",
  function(c)
    local plain = c:get_info {}:ok().body
    local how, info = c:get_info { flags = 0xffffffff, num_regions = 0xffffffff,
                                   num_irqs = 0xffffffff }:any()
    check(how ~= "closed", "the server closed")
    check(how == "error" or info.body == plain, "the request shows in the reply: %s, was %s",
          info and hex(info.body), hex(plain))
  end }
