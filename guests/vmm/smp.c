/* Mail between the threads of a machine; INIT and start-up IPI. */
#include "smp.h"
#include "guests/vmm/debug/debug.h"
#include "host.h"
#include "guests/vmm/pv/hypercall.h"
#include "lock.h"
#include "vcpu.h"

#define STARTUP_SHIFT    12
#define STARTUP_SELECTOR 8 /* page << 8 */

bool vcpu_post(struct vcpu *v, u32 mail)
{
	u32 old = __atomic_fetch_or(&v->post->mail, mail, __ATOMIC_SEQ_CST);

	/* Who finds mail there already knows that the event was set after it. */
	if ((old & mail) == mail)
		return false;
	if (!vcpu_is_own(v))
		host_signal(v->event, BIT(VCPU_BIT_MAIL));
	return true;
}

void vcpu_nudge(struct vcpu *v)
{
	if (!vcpu_is_own(v))
		host_signal(v->event, BIT(VCPU_BIT_LOOK));
}

void vcpu_post_startup(struct vcpu *v, u8 page)
{
	__atomic_store_n(&v->post->startup_page, page, __ATOMIC_RELEASE);
	vcpu_post(v, MAIL_STARTUP);
}

static void start(struct vcpu *v)
{
	u32 page = __atomic_load_n(&v->post->startup_page, __ATOMIC_ACQUIRE);
	struct run_page *run = v->run;

	vcpu_need(v, GROUP_RIP | GROUP_SEG);
	run->cs.selector = (u16)(page << STARTUP_SELECTOR);
	run->cs.base = (u64)page << STARTUP_SHIFT;
	run->rip = 0;
	run->dirty |= GROUP_RIP | GROUP_SEG;
	v->state->wait_startup = 0;
}

/*
 * Takes the mail out. What a thread has taken is noted until it has acted upon it for good; a death
 * between the two steps leaves it at both places, and it is acted upon twice.
 */
static u32 take(struct vcpu_post *post)
{
	u32 mail = __atomic_load_n(&post->mail, __ATOMIC_SEQ_CST);

	__atomic_store_n(&post->taken, post->taken | mail, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(&post->mail, ~mail, __ATOMIC_SEQ_CST);
	return mail;
}

/* One waits while another is in service, or about to be, or comes together with it. */
static void take_nmis(struct vcpu *v, u32 mail)
{
	struct run_page *run = v->run;
	bool injected = (run->inject & (INJECT_VALID | INJECT_TYPE_MASK)) ==
			(INJECT_VALID | INJECT_TYPE_NMI);
	u32 most;

	vcpu_need(v, GROUP_RIP);
	most = injected || (run->shadow & SHADOW_NMI) ? 1 : 2;
	v->state->nmis += !!(mail & MAIL_NMI) + !!(mail & MAIL_NMI_TWO);
	if (v->state->nmis > most)
		v->state->nmis = most;
}

void vcpu_open_mail(struct vcpu *v)
{
	struct machine *m = v->machine;
	u32 mail = take(v->post);

	if (mail & MAIL_INIT) {
		lapic_init_signal(m, v->lapic);
		vcpu_init_signal(v);
		debug_init_signal(v);
		v->state->wait_startup = 1;
	}
	if ((mail & MAIL_STARTUP) && v->state->wait_startup)
		start(v);
	if (mail & (MAIL_NMI | MAIL_NMI_TWO))
		take_nmis(v, mail);
	if (mail & MAIL_UNHALT)
		hypercall_unhalt(v);
	if (mail & MAIL_INTR) {
		machine_lock(v);
		lapic_lint(m, v->lapic, 0, pic_output(&m->state->pic));
	}
	if (mail & MAIL_REPORT) {
		machine_lock(v); /* one after the other */
		vcpu_report(v, v->state->wait_startup ? "waits for a start-up IPI" : "runs");
	}
	if (m->stop || v->state->wait_startup || debug_wanted(v))
		v->pause = true;
}

void vcpu_wait_startup(struct vcpu *v)
{
	while (v->state->wait_startup && !__atomic_load_n(&v->machine->stop, __ATOMIC_ACQUIRE) &&
		!debug_wanted(v)) {
		if (!__atomic_load_n(&v->post->mail, __ATOMIC_SEQ_CST))
			host_wait(BIT(VCPU_BIT_MAIL), TIME_NEVER);
		vcpu_open_mail(v);
		journal_commit(v);
	}
}
