/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lock of one word, for things of which there are thousands and which are locked
 * for a system call at most: free, it costs one atomic instruction to take and one
 * to give back; else a waiter sleeps in the kernel.
 */
#ifndef VUS_LOCK_H
#define VUS_LOCK_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0: free; 1: taken; 2: taken, and somebody may be waiting. All zeros is a free lock. */
typedef atomic_uint vus_lock;

static __attribute__((noinline, unused, cold)) void vus_lock_wait(vus_lock *l)
{
    while (atomic_exchange_explicit(l, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, l, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static __attribute__((noinline, unused, cold)) void vus_lock_wake(vus_lock *l)
{
    syscall(SYS_futex, l, FUTEX_WAKE_PRIVATE, 1);
}

static inline void vus_lock_take(vus_lock *l)
{
    unsigned int unlocked = 0;

    if (!atomic_compare_exchange_strong_explicit(l, &unlocked, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        vus_lock_wait(l);
}

static inline void vus_lock_give(vus_lock *l)
{
    if (atomic_exchange_explicit(l, 0, memory_order_release) == 2)
        vus_lock_wake(l);
}

#endif
