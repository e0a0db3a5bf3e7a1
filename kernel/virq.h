/* Interrupt delivery into guests in software. All on the vcpu's CPU, but for virq_request. */
#pragma once

#include "kernel/doorbell.h" /* which vcpu.c needs besides */
#include "kernel/vcpu.h"

/* Makes `vector` (16-255) pending; the caller then wakes the vcpu. Any CPU. */
void virq_request(struct vcpu *v, unsigned vector);

/* Moves what is pending into IRR, and how it is triggered into TMR. */
void virq_merge(struct vcpu *v);

/* The highest vector in ISR or IRR (`base` is APIC_ISR or APIC_IRR), or -1. */
int virq_highest(struct vcpu *v, u32 base);

/* The vector that IRR and ISR would let in, whatever the TPR says; -1: none. */
int virq_deliverable(struct vcpu *v);

/* Nothing is requested, or one edge-triggered vector while none is in service. */
bool virq_may_skip_eoi(struct vcpu *v);

/* Is its class above the TPR's? */
bool virq_above_tpr(struct vcpu *v, int vector);

/* `vector` is in service no more. */
void virq_end(struct vcpu *v, int vector);

/* `vector` goes from IRR to ISR: it was handed to the hardware. */
void virq_accept(struct vcpu *v, int vector);
