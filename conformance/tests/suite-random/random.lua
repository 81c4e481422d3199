-- SPDX-License-Identifier: BSD-3-Clause
-- Each case says which choice it made.

for i = 1, 10 do
  case(string.format("HDR-%02d", i)) { "chooses", function()
    note("%d", random(1, 1 << 40))
  end }
end
