/* Root's capability table: a bitmap of the slots in use. */
#include "drivers/root/machine.h"

static u64 used[CAP_MAX / 64];
static u32 hint = ROOT_CAP_FIRST;

cap_t slot_new(void)
{
	for (u32 n = 0; n < CAP_MAX; n++) {
		u32 slot = (hint + n) % CAP_MAX;

		if (slot < ROOT_CAP_FIRST || used[slot / 64] & BIT(slot % 64))
			continue;
		used[slot / 64] |= BIT(slot % 64);
		hint = slot + 1;
		return slot;
	}
	return CAP_NULL;
}

void slot_free(cap_t *slot)
{
	if (*slot == CAP_NULL)
		return;
	sys_cap_grant(ROOT_CAP_DOMAIN, *slot, CAP_NULL, 0, 0);
	used[*slot / 64] &= ~BIT(*slot % 64);
	/* Low slots first, so that the table stays small. */
	if (*slot < hint)
		hint = *slot;
	*slot = CAP_NULL;
}

status_t object_new(enum kind kind, cap_t payer, cap_t *slot)
{
	status_t s;

	*slot = slot_new();
	if (*slot == CAP_NULL)
		return STATUS_NO_SPACE;
	s = sys_obj_create(kind, payer, *slot);
	if (s != STATUS_OK)
		slot_free(slot);
	return s;
}

void object_end(cap_t *slot)
{
	status_t s;

	if (*slot == CAP_NULL)
		return;
	s = sys_obj_destroy(*slot);
	if (s != STATUS_OK && s != STATUS_GONE)
		log_line("slot %u: cannot be destroyed: %s", *slot, status_text(s));
	slot_free(slot);
}

status_t event_new(cap_t payer, cap_t thread, u64 mask, cap_t *slot)
{
	struct msg_create_event *m = message;

	*m = (struct msg_create_event){.thread = thread, .mask = mask};
	return object_new(KIND_EVENT, payer, slot);
}
