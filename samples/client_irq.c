/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sample client receives interrupts: of each kind by eventfd, masked and unmasked.
 */
#include "samples/client.h"
#include "samples/registers.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#define DELAY_US 1000u

static const char *const names[] = { "INTx", "MSI", "MSI-X" };

bool fires(struct session *s, uint32_t index, uint32_t vector, const char *why)
{
    uint64_t count = 0;

    return ok(s, vfuc_irq_wait(s->dev, index, vector, WAIT_MS, &count),
              "waiting for %s, vector %u: %s", names[index], vector, why) &&
           equal(s, count, 1, "%s, how often vector %u fired: %s", names[index], vector,
                 why);
}

static bool silent(struct session *s, uint32_t index, uint32_t vector, const char *why)
{
    return fails(s, vfuc_irq_wait(s->dev, index, vector, 0, NULL), -ETIMEDOUT,
                 "%s, vector %u is silent: %s", names[index], vector, why);
}

static bool timer_raises(struct session *s, uint32_t index, uint32_t vector,
                         const char *when)
{
    return set32(s, TIMER_VECTOR, vector) && set32(s, TIMER_DELAY, DELAY_US) &&
           fires(s, index, vector, when) && holds32(s, TIMER_DELAY, 0, "TIMER_DELAY");
}

bool timer_fires(struct session *s, uint32_t vector, const char *when)
{
    return timer_raises(s, VFUC_PCI_MSIX, vector, when);
}

static bool only_vector(struct session *s, uint32_t index)
{
    if (!ok(s, vfuc_irq_enable(s->dev, index, 0, 1), "enabling %s", names[index]) ||
        !timer_raises(s, index, 0, "the timer") ||
        !ok(s, vfuc_irq_disable(s->dev, index), "disabling %s", names[index]))
        return false;
    note(s, "DEVICE_SET_IRQS", "%s: the timer's interrupt came; disabled again",
         names[index]);
    return true;
}

bool irq_intx(struct session *s)
{
    return only_vector(s, VFUC_PCI_INTX);
}

bool irq_msi(struct session *s)
{
    return only_vector(s, VFUC_PCI_MSI);
}

/* They stay enabled. */
bool irq_msix(struct session *s)
{
    if (!ok(s, vfuc_irq_enable(s->dev, VFUC_PCI_MSIX, 0, N_VECTORS), "enabling MSI-X"))
        return false;
    for (uint32_t vector = N_VECTORS; vector-- > 0;) {
        if (!timer_fires(s, vector, "the timer"))
            return false;
        for (uint32_t other = 0; other < N_VECTORS; other++) {
            if (!silent(s, VFUC_PCI_MSIX, other, "it was another one"))
                return false;
        }
    }
    note(s, "DEVICE_SET_IRQS", "MSI-X: each of %u vectors came alone", N_VECTORS);
    return true;
}

bool irq_masks(struct session *s)
{
    const uint8_t odd[N_VECTORS] = { 0, 1, 0, 1 };
    const uint32_t msix = VFUC_PCI_MSIX;

    if (!ok(s, vfuc_irq_mask(s->dev, msix, 1, 1), "masking vector 1") ||
        !ok(s, vfuc_irq_trigger(s->dev, msix, 0, N_VECTORS), "firing all vectors") ||
        !fires(s, msix, 0, "SET_IRQS") || !fires(s, msix, 2, "SET_IRQS") ||
        !fires(s, msix, 3, "SET_IRQS") || !silent(s, msix, 1, "it is masked") ||
        !ok(s, vfuc_irq_unmask(s->dev, msix, 1, 1), "unmasking vector 1") ||
        !fires(s, msix, 1, "unmasked"))
        return false;
    note(s, "DEVICE_SET_IRQS", "MSI-X: a masked vector comes when it is unmasked");
    if (!ok(s, vfuc_irq_some(s->dev, msix, VFUC_IRQ_TRIGGER, 0, odd, N_VECTORS),
            "firing some vectors") ||
        !fires(s, msix, 1, "chosen") || !fires(s, msix, 3, "chosen") ||
        !silent(s, msix, 0, "not chosen") || !silent(s, msix, 2, "not chosen"))
        return false;
    note(s, "DEVICE_SET_IRQS", "MSI-X: vectors chosen by a byte each");
    return true;
}

/* Not time(2), which may be a tick behind the clock that the device reads. */
static uint64_t seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec;
}

/*
 * TIME is seconds since the Epoch. A time that has passed fires at once, which makes each
 * run the same; the wall clock is for --time.
 */
bool irq_alarm(struct session *s)
{
    uint64_t when = s->wall_clock ? seconds_now() + 1 : 1;

    if (!set64(s, TIME_LOW, when) || !fires(s, VFUC_PCI_MSIX, 0, "the alarm") ||
        !that(s, seconds_now() >= when, "the alarm came in time") ||
        !holds32(s, TIME_LOW, 0, "TIME"))
        return false;
    note(s, "device", "the alarm for second %" PRIu64 " since the Epoch came", when);
    return true;
}
