-- SPDX-License-Identifier: BSD-3-Clause

case "HDR-12" { "four", also = "CONN-01", function() end }
case "VER-31" { "five", function() end }
