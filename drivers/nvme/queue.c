/* NVMe queues: see queue.h. */
#include "drivers/nvme/queue.h"
#include "drivers/lib/lib.h"

void nvme_queue_init(struct nvme_queue *q)
{
	check(q->size > 1 && q->size <= NVME_QUEUE_MAX);
	memset(q->submission, 0, q->size * sizeof(*q->submission));
	memset(q->completion, 0, q->size * sizeof(*q->completion));
	q->tail = 0;
	q->told = 0;
	q->head = 0;
	q->phase = NVME_STATUS_PHASE; /* 4.6: the first round is written with 1 */
	q->flying = 0;
	q->busy = 0;
}

void nvme_queue_add(struct nvme_queue *q, const struct nvme_command *c)
{
	check(nvme_queue_room(q) && c->id < NVME_QUEUE_MAX && !(q->busy & BIT(c->id)));
	q->submission[q->tail] = *c;
	q->tail = (u16)(q->tail + 1) % q->size;
	q->busy |= BIT(c->id);
	q->flying++;
}

void nvme_queue_kick(struct nvme_queue *q)
{
	if (q->tail == q->told)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	mmio_write32(q->submission_doorbell, q->tail);
	q->told = q->tail;
}

enum nvme_taken nvme_queue_take(struct nvme_queue *q, struct nvme_completion *out)
{
	const struct nvme_completion *at = &q->completion[q->head];
	u16 status = __atomic_load_n(&at->status, __ATOMIC_ACQUIRE);

	if ((status & NVME_STATUS_PHASE) != q->phase)
		return NVME_EMPTY;
	memcpy(out, at, sizeof(*out));
	asm volatile("" ::: "memory"); /* the copy is checked, not the original */
	out->status = status;
	if (out->sq_id != q->number || out->sq_head >= q->size || out->id >= NVME_QUEUE_MAX ||
		!(q->busy & BIT(out->id)))
		return NVME_BROKEN;
	q->busy &= ~BIT(out->id);
	q->flying--;
	if (++q->head == q->size) {
		q->head = 0;
		q->phase ^= NVME_STATUS_PHASE;
	}
	return NVME_TAKEN;
}

void nvme_queue_release(struct nvme_queue *q)
{
	mmio_write32(q->completion_doorbell, q->head);
}
