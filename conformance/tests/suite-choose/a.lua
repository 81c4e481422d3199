-- SPDX-License-Identifier: BSD-3-Clause
-- For --list, --select and --level; never run.

case "REG-01" { "one", needs = { "dma", "pci_config" }, function() end }
case "HDR-02" { "two", function() end }
case "HDR-02" { "three", function() end }
