-- SPDX-License-Identifier: BSD-3-Clause
-- Five cases; the third and fourth pull the trigger of the fake server.

case "HDR-01" { "first", function(c) c:alive() end }
case "HDR-02" { "second", function(c) c:alive() end }
case "HDR-03" { "third", function(c) c:region_read { region = 0, count = 1 }:refused() end }
case "HDR-12" { "fourth, a SHOULD",
  function(c) c:region_read { region = 0, count = 1 }:refused() end }
case "HDR-04" { "fifth", connect = "raw", function(c)
  c:version {}:ok()
  c:alive()
end }
