/* What the files of the local APIC model share among themselves. */
#pragma once

#include "guests/vmm/dev/lapic.h"

#define LAPIC_VECTORS     256u
#define LAPIC_BANK_STRIDE 0x10u /* between the registers of ISR, TMR and IRR */

/* The kernel and, for TMR, other threads look at the page at the same time. */
static inline u32 *lapic_word(const struct lapic_view *v, u32 offset)
{
	return &v->page->word[offset / sizeof(u32)];
}

static inline u32 lapic_get(const struct lapic_view *v, u32 offset)
{
	return __atomic_load_n(lapic_word(v, offset), __ATOMIC_RELAXED);
}

static inline void lapic_set(struct lapic_view *v, u32 offset, u32 value)
{
	__atomic_store_n(lapic_word(v, offset), value, __ATOMIC_RELAXED);
}

/* Offset of the register of `bank` (LAPIC_ISR, LAPIC_TMR, LAPIC_IRR) with the bit of `vector`. */
static inline u32 lapic_bank(u32 bank, u8 vector)
{
	return bank + vector / 32u * LAPIC_BANK_STRIDE;
}

static inline u32 lapic_bit(u8 vector)
{
	return 1u << vector % 32u;
}

static inline bool lapic_is_x2apic(const struct lapic_view *v)
{
	return __atomic_load_n(&v->state->base, __ATOMIC_RELAXED) & LAPIC_BASE_X2APIC;
}

/* Globally enabled, in whatever mode. */
static inline bool lapic_is_on(const struct lapic_view *v)
{
	return __atomic_load_n(&v->state->base, __ATOMIC_RELAXED) & LAPIC_BASE_ENABLE;
}

#define LAPIC_TPR_WRITABLE 0xffu

/* Returns the bits of an LVT entry that can be written; 0 if `offset` is none. */
u32 lapic_lvt_writable(const struct lapic_view *v, u32 offset);

/* Registers that both modes have, 32 bits wide. False if `offset` is none. */
bool lapic_read_register(struct machine *m, struct lapic_view *v, u32 offset, u32 *value);
bool lapic_write_register(struct machine *m, struct lapic_view *v, u32 offset, u32 value);

/* What writing the ICR comes to; the destination as in struct lapic_ipi. */
void lapic_send_ipi(struct machine *m, struct lapic_view *v, u32 icr, u32 destination);

/* The registers start anew; mode and ID stay. */
void lapic_reset_registers(struct lapic_view *v);

/* ID and LDR have another form in each mode (SDM vol. 3, 11.12.5 and 11.12.10.2). */
void lapic_set_identity(struct lapic_view *v);

/* Notes errors (LAPIC_ESR_*), and raises the error interrupt. Any thread. */
void lapic_error(struct lapic_view *v, u32 bits);

/* A message to this one APIC. Any thread. */
void lapic_deliver(struct machine *m, struct lapic_view *v, const struct lapic_ipi *ipi);

/* The LINT0 entry was written, or its vector ended: a level that is still there requests again. */
void lapic_lint_sense(struct lapic_view *v);
void lapic_lint_eoi(struct lapic_view *v, u8 vector);

/* Timer registers. */
u32 lapic_timer_count(struct machine *m, struct lapic_view *v);
void lapic_timer_set_initial(struct machine *m, struct lapic_view *v, u32 count);
void lapic_timer_set_divide(struct machine *m, struct lapic_view *v, u32 value);
void lapic_timer_set_lvt(struct lapic_view *v, u32 value);
u64 lapic_timer_deadline(struct lapic_view *v, u64 guest_tsc);
void lapic_timer_set_deadline(struct lapic_view *v, u64 value);
