# SPDX-License-Identifier: BSD-3-Clause
"""The shared object as Python programs use it: by ctypes, with layouts of their own.

They load $LIBVFIO_SO_DIR/libvfio-user.so, call vfu_setup_device_dma() with four arguments
and vfu_sgl_read() with five, whatever a C header makes of those names, and look into the
scatter-gather entries. Server and client are in one process: a non-blocking context runs
while the client waits for its reply.

    LIBVFIO_SO_DIR=build/dbg/libserver python3 test_ctypes.py
"""

import ctypes
import errno
import mmap
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "consumers"))
import client as c      # noqa: E402

LIBRARY = ctypes.CDLL(os.path.join(os.environ["LIBVFIO_SO_DIR"], "libvfio-user.so"),
                      use_errno=True)

NONBLOCKING, SOCK, PCI = 1, 0, 0
READ, WRITE = 1, 2                  # PROT_*
DIRECT_ACCESS = 1


class IoVec(ctypes.Structure):
    _fields_ = [("iov_base", ctypes.c_void_p), ("iov_len", ctypes.c_size_t)]


class DmaInfo(ctypes.Structure):
    _fields_ = [("iova", IoVec), ("vaddr", ctypes.c_void_p), ("mapping", IoVec),
                ("page_size", ctypes.c_size_t), ("prot", ctypes.c_uint32)]


class DmaSg(ctypes.Structure):
    """What the entries hold, as it has been observed: nobody promised it."""
    _fields_ = [("dma_addr", ctypes.c_void_p), ("region", ctypes.c_int32),
                ("padding", ctypes.c_int32), ("length", ctypes.c_uint64),
                ("offset", ctypes.c_uint64), ("writeable", ctypes.c_bool)]


REGION_ACCESS = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p,
                                 ctypes.POINTER(ctypes.c_char), ctypes.c_size_t,
                                 ctypes.c_long, ctypes.c_bool, use_errno=True)
DMA = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(DmaInfo))

LIBRARY.vfu_create_ctx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int,
                                   ctypes.c_void_p, ctypes.c_int)
LIBRARY.vfu_create_ctx.restype = ctypes.c_void_p
for name in ("vfu_realize_ctx", "vfu_attach_ctx", "vfu_run_ctx", "vfu_destroy_ctx"):
    getattr(LIBRARY, name).argtypes = (ctypes.c_void_p,)
LIBRARY.vfu_destroy_ctx.restype = None
LIBRARY.vfu_setup_region.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t,
                                     REGION_ACCESS, ctypes.c_int, ctypes.c_void_p,
                                     ctypes.c_uint32, ctypes.c_int, ctypes.c_uint64)
LIBRARY.vfu_setup_device_dma.argtypes = (ctypes.c_void_p, ctypes.c_size_t, DMA, DMA)
LIBRARY.vfu_addr_to_sgl.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t,
                                    ctypes.POINTER(DmaSg), ctypes.c_size_t, ctypes.c_int)
LIBRARY.vfu_sgl_get.argtypes = (ctypes.c_void_p, ctypes.POINTER(DmaSg),
                                ctypes.POINTER(IoVec), ctypes.c_size_t, ctypes.c_int)
LIBRARY.vfu_sgl_put.argtypes = (ctypes.c_void_p, ctypes.POINTER(DmaSg),
                                ctypes.POINTER(IoVec), ctypes.c_size_t)
LIBRARY.vfu_sgl_put.restype = None
for name in ("vfu_sgl_read", "vfu_sgl_write"):
    getattr(LIBRARY, name).argtypes = (ctypes.c_void_p, ctypes.POINTER(DmaSg),
                                       ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
LIBRARY.vfu_sg_is_mappable.argtypes = (ctypes.c_void_p, ctypes.POINTER(DmaSg))
LIBRARY.vfu_sg_is_mappable.restype = ctypes.c_bool
LIBRARY.dma_sg_size.restype = ctypes.c_size_t


class Device(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "socket"
        self.windows = []
        self.register = DMA(lambda _, info: self.windows.append(("map", self.copy(info))))
        self.unregister = DMA(lambda _, info: self.windows.append(("unmap",
                                                                   self.copy(info))))
        self.access = REGION_ACCESS(self.on_access)
        self.ctx = LIBRARY.vfu_create_ctx(SOCK, str(path).encode(), NONBLOCKING, None, PCI)
        self.assertTrue(self.ctx)
        self.addCleanup(self.destroy)
        self.assertEqual(LIBRARY.vfu_setup_region(self.ctx, c.BAR0, 4096, self.access, 3,
                                                  None, 0, -1, 0), 0)
        self.assertEqual(LIBRARY.vfu_setup_device_dma(self.ctx, 2, self.register,
                                                      self.unregister), 0)
        self.assertEqual(LIBRARY.vfu_realize_ctx(self.ctx), 0)
        self.client = c.Client(path, self.pump)
        self.addCleanup(self.client.close)
        self.attached = False
        self.client.version()
        self.assertTrue(self.attached)

    def destroy(self):
        LIBRARY.vfu_destroy_ctx(self.ctx)

    @staticmethod
    def copy(info):
        return DmaInfo.from_buffer_copy(bytes(info.contents))

    @staticmethod
    def on_access(_ctx, buf, count, offset, is_write):
        if is_write:
            ctypes.set_errno(errno.EPERM)
            return -1
        ctypes.memmove(buf, bytes((offset + i) % 256 for i in range(count)), count)
        return count

    def pump(self):
        if not self.attached:
            self.attached = LIBRARY.vfu_attach_ctx(self.ctx) == 0
            if not self.attached:
                self.assertEqual(ctypes.get_errno(), errno.EAGAIN)
            return
        self.assertGreaterEqual(LIBRARY.vfu_run_ctx(self.ctx), 0)

    def memory(self, size):
        fd, view = c.memory(size)
        self.addCleanup(view.close)
        self.addCleanup(os.close, fd)
        return fd, view

    def fails(self, result, want):
        self.assertEqual((result, ctypes.get_errno()), (-1, want))

    def entries(self, address, length, count=1, prot=READ | WRITE):
        sgl = (DmaSg * count)()
        found = LIBRARY.vfu_addr_to_sgl(self.ctx, address, length, sgl, count, prot)
        self.assertEqual(found, count)
        return sgl

    def test_region_callbacks_of_python_are_called(self):
        self.assertEqual(self.client.read(c.BAR0, 5, 3), b"\5\6\7")
        self.client.write(c.BAR0, 5, b"a", error=errno.EPERM)

    def test_the_symbol_of_four_arguments_takes_its_limit(self):
        for i in range(2):
            self.client.dma_map(0x10000 * (i + 1), 0x1000)
        self.client.dma_map(0x30000, 0x1000, error=errno.EINVAL)
        self.assertEqual([kind for kind, _ in self.windows], ["map", "map"])

    def test_windows_are_reported_in_the_layout_of_the_abi(self):
        self.assertEqual((ctypes.sizeof(DmaInfo), LIBRARY.dma_sg_size()), (56, 40))
        fd, view = self.memory(0x4000)
        view[0x1800:0x1804] = b"here"
        self.client.dma_map(0x10800, 0x2000, fd, offset=0x1800, flags=READ)
        self.client.dma_map(0x40000, 0x1000, flags=WRITE)
        (_, first), (_, second) = self.windows
        self.assertEqual((first.iova.iov_base, first.iova.iov_len), (0x10800, 0x2000))
        self.assertEqual(ctypes.string_at(first.vaddr, 4), b"here")
        self.assertEqual(first.mapping.iov_base % mmap.PAGESIZE, 0)
        self.assertEqual((first.mapping.iov_base, first.mapping.iov_len),
                         (first.vaddr - 0x800, 0x3000))
        self.assertEqual((first.page_size, first.prot), (4096, READ))
        self.assertEqual((second.vaddr, second.mapping.iov_base, second.mapping.iov_len),
                         (None, None, 0))
        self.assertEqual(second.prot, WRITE)
        self.client.dma_unmap(0x10800, 0x2000)
        self.assertEqual((self.windows[2][0], bytes(self.windows[2][1])),
                         ("unmap", bytes(first)))

    def test_entries_show_base_offset_and_length(self):
        fd, _ = self.memory(0x3000)
        self.client.dma_map(0x10000, 0x2000, fd)
        self.client.dma_map(0x12000, 0x1000, fd, offset=0x2000)
        first, second = self.entries(0x11800, 0x1000, 2)
        self.assertEqual((first.dma_addr, first.offset, first.length, first.writeable),
                         (0x10000, 0x1800, 0x800, True))
        self.assertEqual((second.dma_addr, second.offset or 0, second.length), (0x12000, 0,
                                                                                0x800))
        self.assertNotEqual(first.region, 0)
        self.assertNotEqual(second.region, 0)
        self.assertFalse(self.entries(0x11800, 1, prot=READ)[0].writeable)

    def test_entries_are_followed_and_zeroed_ones_refused(self):
        fd, view = self.memory(0x2000)
        self.client.dma_map(0x10000, 0x2000, fd)
        sgl, iov = self.entries(0x10100, 16), (IoVec * 1)()
        self.assertEqual(LIBRARY.vfu_sgl_get(self.ctx, sgl, iov, 1, 0), 0)
        self.assertEqual(iov[0].iov_len, 16)
        ctypes.memmove(iov[0].iov_base, b"written by ctype", 16)
        LIBRARY.vfu_sgl_put(self.ctx, sgl, iov, 1)
        self.assertEqual(view[0x100:0x110], b"written by ctype")
        self.fails(LIBRARY.vfu_sgl_get(self.ctx, (DmaSg * 1)(), iov, 1, 0), errno.EINVAL)
        self.client.dma_map(0x20000, 0x1000)
        self.assertTrue(LIBRARY.vfu_sg_is_mappable(self.ctx, sgl))
        hidden = self.entries(0x20000, 16)
        self.assertFalse(LIBRARY.vfu_sg_is_mappable(self.ctx, hidden))
        self.fails(LIBRARY.vfu_sgl_get(self.ctx, hidden, iov, 1, 0), errno.EFAULT)

    def test_too_few_entries_are_counted_and_gaps_are_not_found(self):
        fd, _ = self.memory(0x3000)
        for i in range(2):
            self.client.dma_map(0x10000 + 0x1000 * i, 0x1000, fd, offset=0x1000 * i)
        sgl = (DmaSg * 1)()

        def find(address, length, count=1, prot=READ):
            return LIBRARY.vfu_addr_to_sgl(self.ctx, address, length, sgl, count, prot)

        self.assertEqual(find(0x10800, 0x1000), -3)
        self.assertEqual(find(0x10000, 0x10, 0), -2)
        self.assertEqual(find(0x10000, 0), 0)
        self.fails(find(0x11800, 0x1000), errno.ENOENT)
        self.fails(find(0x50000, 1), errno.ENOENT)

    def test_the_symbols_of_five_arguments_take_their_flags(self):
        fd, view = self.memory(0x1000)
        view[:5] = b"guest"
        self.client.dma_map(0x10000, 0x1000, fd)
        sgl, data = self.entries(0x10000, 5), ctypes.create_string_buffer(5)
        self.assertEqual(LIBRARY.vfu_sgl_read(self.ctx, sgl, 1, data, DIRECT_ACCESS), 0)
        self.assertEqual(data.raw, b"guest")
        data.raw = b"wrote"
        self.assertEqual(LIBRARY.vfu_sgl_write(self.ctx, sgl, 1, data, DIRECT_ACCESS), 0)
        self.assertEqual(view[:5], b"wrote")
        self.fails(LIBRARY.vfu_sgl_read(self.ctx, sgl, 1, data, 2), errno.EINVAL)

    def test_without_flags_the_client_is_asked(self):
        """Also for a window that is mapped; a Python thread answers for the client."""
        fd, view = self.memory(0x1000)
        view[:4] = b"file"
        self.client.dma_map(0x10000, 0x1000, fd)
        sgl, data = self.entries(0x10004, 4), ctypes.create_string_buffer(4)
        self.client.pump = None
        asked = []

        def answer():
            for _ in range(2):
                msg_id, command, flags, _, body = self.client.receive()
                asked.append((command, flags, body))
                head = body[:16] if command == c.DMA_WRITE else body
                payload = b"mess" if command == c.DMA_READ else b""
                self.client.send(command, head + payload, flags=c.REPLY, msg_id=msg_id)

        thread = threading.Thread(target=answer)
        thread.start()
        results = [LIBRARY.vfu_sgl_read(self.ctx, sgl, 1, data, 0)]
        received = data.raw
        data.raw = b"back"
        results.append(LIBRARY.vfu_sgl_write(self.ctx, sgl, 1, data, 0))
        if results != [0, 0]:       # then the thread would wait for what never comes
            self.client.stream.shutdown(socket.SHUT_RDWR)
        thread.join()
        self.assertEqual((results, received), ([0, 0], b"mess"))
        where = struct.pack("<QQ", 0x10004, 4)
        self.assertEqual(asked, [(c.DMA_READ, 0, where), (c.DMA_WRITE, 0, where + b"back")])
        self.assertEqual(view[:8], b"file" + bytes(4))


if __name__ == "__main__":
    unittest.main()
