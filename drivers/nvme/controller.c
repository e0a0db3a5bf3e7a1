/* An NVMe controller: see controller.h. */
#include "drivers/nvme/controller.h"

#define ADMIN_SIZE   16u
#define STEP_US      500u
#define TIMEOUT_UNIT 500000u /* of CAP.TO */
#define ADMIN_US     5000000u
#define MAX_BYTES    0x40000u
#define LBADS_LEAST  9u
#define LBADS_MOST   12u

static u32 reg(const struct nvme_controller *c, u32 offset)
{
	return mmio_read32(c->registers + offset);
}

bool nvme_failed(const struct nvme_controller *c)
{
	u32 status = reg(c, NVME_CSTS);

	return status == NVME_GONE || status & NVME_CSTS_CFS;
}

/* Waits until CSTS.RDY is `ready`. A fatal state ends the wait for being ready only: a reset is
 * what helps then. */
static bool wait_ready(struct nvme_controller *c, bool ready)
{
	u64 left = (u64)(NVME_CAP_TO(c->cap) + 1) * TIMEOUT_UNIT / STEP_US;

	for (; left > 0; left--) {
		u32 status = reg(c, NVME_CSTS);

		if (status == NVME_GONE)
			break;
		if (!!(status & NVME_CSTS_RDY) == ready)
			return true;
		if (ready && status & NVME_CSTS_CFS)
			break;
		device_wait(c->device, STEP_US);
	}
	device_log(c->device, "the controller does not become %s: status %#x",
		ready ? "ready" : "reset", reg(c, NVME_CSTS));
	return false;
}

bool nvme_stop(struct nvme_controller *c)
{
	u32 cc = reg(c, NVME_CC);

	if (cc & NVME_CC_EN)
		mmio_write32(c->registers + NVME_CC, cc & ~(u32)NVME_CC_EN);
	return wait_ready(c, false);
}

/* Memory and doorbells of a queue pair (3.1.24, 3.1.25). */
static bool alloc_queue(struct nvme_controller *c, struct nvme_queue *q, u16 number, u16 size)
{
	u32 stride = 4u << NVME_CAP_DSTRD(c->cap);
	u32 at = NVME_DOORBELLS + 2 * number * stride;
	struct device *d = c->device;

	*q = (struct nvme_queue){.number = number, .size = size};
	q->submission =
		device_alloc(d, size * sizeof(*q->submission), PAGE_SIZE, &q->submission_bus);
	q->completion =
		device_alloc(d, size * sizeof(*q->completion), PAGE_SIZE, &q->completion_bus);
	q->submission_doorbell = device_registers(d, 0, at, 4);
	q->completion_doorbell = device_registers(d, 0, at + stride, 4);
	if (!q->submission || !q->completion)
		return false;
	if (!q->submission_doorbell || !q->completion_doorbell) {
		device_log(d, "the doorbells of queue %u lie outside its registers", number);
		return false;
	}
	return true;
}

bool nvme_open(struct nvme_controller *c, struct device *d)
{
	u32 entries;

	*c = (struct nvme_controller){.device = d};
	c->registers = device_registers(d, 0, 0, NVME_REGS_LEAST);
	if (!c->registers) {
		device_log(d, "it has not the registers of an NVMe controller");
		return false;
	}
	c->cap = mmio_read64(c->registers + NVME_CAP);
	entries = NVME_CAP_MQES(c->cap) + 1;
	if (c->cap == ~0ull || !NVME_CAP_NVM(c->cap) || NVME_CAP_MPSMIN(c->cap) || entries < 2) {
		device_log(d, "a controller with the capabilities %#lx is not supported", c->cap);
		return false;
	}
	if (entries > NVME_QUEUE_MAX)
		entries = NVME_QUEUE_MAX;
	if (!nvme_stop(c) ||
		!alloc_queue(c, &c->admin, 0, entries < ADMIN_SIZE ? (u16)entries : ADMIN_SIZE))
		return false;
	for (u32 i = 0; i < NVME_IO_QUEUES; i++) {
		if (!alloc_queue(c, &c->io[i], (u16)(i + 1), (u16)entries))
			return false;
	}
	c->page = device_alloc(d, PAGE_SIZE, PAGE_SIZE, &c->page_bus);
	return c->page != NULL;
}

/* Carries out an admin command and waits for it; *result may be NULL. */
static bool admin(struct nvme_controller *c, struct nvme_command *command, u32 *result)
{
	struct nvme_completion done;
	enum nvme_taken taken = NVME_EMPTY;

	nvme_queue_add(&c->admin, command);
	nvme_queue_kick(&c->admin);
	for (u32 i = 0; i < ADMIN_US / STEP_US && taken == NVME_EMPTY; i++) {
		taken = nvme_queue_take(&c->admin, &done);
		if (taken == NVME_EMPTY)
			device_wait(c->device, STEP_US);
	}
	if (taken != NVME_TAKEN) {
		device_log(c->device, "admin command %#x: %s", command->opcode,
			taken == NVME_EMPTY ? "no answer" : "an answer that cannot be");
		return false;
	}
	nvme_queue_release(&c->admin);
	if (NVME_STATUS_CODE(done.status) != NVME_SC_OK) {
		device_log(c->device, "admin command %#x: status %#x", command->opcode,
			NVME_STATUS_CODE(done.status));
		return false;
	}
	if (result)
		*result = done.result;
	return true;
}

static bool identify(struct nvme_controller *c, u32 cns, u32 nsid)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY, .nsid = nsid, .prp1 = c->page_bus, .dword = {cns}};

	memset(c->page, 0, PAGE_SIZE);
	return admin(c, &command, NULL);
}

/* The page is read field by field, each once. */
static u64 field(const struct nvme_controller *c, u32 offset, u32 size)
{
	u64 value = 0;

	memcpy(&value, c->page + offset, size);
	asm volatile("" ::: "memory");
	return value;
}

bool nvme_start(struct nvme_controller *c)
{
	u32 size = c->admin.size - 1u;
	u32 mdts;
	u32 oncs;

	nvme_queue_init(&c->admin);
	mmio_write32(c->registers + NVME_AQA, size << 16 | size);
	mmio_write64(c->registers + NVME_ASQ, c->admin.submission_bus);
	mmio_write64(c->registers + NVME_ACQ, c->admin.completion_bus);
	mmio_write32(c->registers + NVME_CC, NVME_CC_IOSQES | NVME_CC_IOCQES | NVME_CC_CSS_NVM |
						     NVME_CC_MPS_4K | (u32)NVME_CC_EN);
	if (!wait_ready(c, true) || !identify(c, NVME_CNS_CONTROLLER, 0))
		return false;
	mdts = (u32)field(c, NVME_CTRL_MDTS, 1);
	oncs = (u32)field(c, NVME_CTRL_ONCS, 2);
	c->max_bytes = mdts > 0 && mdts < 20 ? (u64)PAGE_SIZE << mdts : MAX_BYTES;
	if (c->max_bytes > MAX_BYTES)
		c->max_bytes = MAX_BYTES;
	c->can_dataset = oncs & NVME_CTRL_ONCS_DATASET;
	c->can_zeroes = oncs & NVME_CTRL_ONCS_ZEROES;
	c->has_cache = field(c, NVME_CTRL_VWC, 1) & NVME_CTRL_VWC_PRESENT;
	return true;
}

bool nvme_identify(struct nvme_controller *c, u32 nsid, struct nvme_namespace *n)
{
	u32 index;
	u32 format;
	u32 shift;

	if (nsid == NVME_NSID_ALL) {
		if (!identify(c, NVME_CNS_ACTIVE, 0))
			return false;
		nsid = (u32)field(c, 0, 4);
	}
	if (nsid == 0) {
		device_log(c->device, "it has no namespace");
		return false;
	}
	if (!identify(c, NVME_CNS_NAMESPACE, nsid))
		return false;
	index = (u32)field(c, NVME_NS_FORMAT, 1) & NVME_NS_FORMAT_INDEX;
	format = (u32)field(c, NVME_NS_LBAF + 4 * index, 4);
	shift = format >> 16 & 0xff;
	*n = (struct nvme_namespace){.nsid = nsid, .blocks = field(c, NVME_NS_SIZE, 8)};
	if (n->blocks == 0) {
		device_log(c->device, "namespace %u is not there", nsid);
		return false;
	}
	if (format & 0xffff || shift < LBADS_LEAST || shift > LBADS_MOST ||
		n->blocks > ~0ull >> shift) {
		device_log(c->device,
			"namespace %u: blocks of 2^%u bytes with %u of metadata are not supported",
			nsid, shift, format & 0xffff);
		return false;
	}
	n->block_size = 1u << shift;
	n->write_blocks = 1;
	n->discard_blocks = 1;
	if (field(c, NVME_NS_FEATURES, 1) & NVME_NS_FEATURES_OPTIMAL) {
		n->write_blocks = (u32)field(c, NVME_NS_NPWG, 2) + 1;
		n->discard_blocks = (u32)field(c, NVME_NS_NPDG, 2) + 1;
	}
	n->read_only = field(c, NVME_NS_ATTRIBUTES, 1) & NVME_NS_PROTECTED;
	return true;
}

/* 5.3 and 5.4 */
static bool make_queue(struct nvme_controller *c, u32 i)
{
	struct nvme_queue *q = &c->io[i];
	struct nvme_command completion = {.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = q->completion_bus,
		.dword = {q->number | (q->size - 1u) << 16,
			NVME_QUEUE_CONTIGUOUS | NVME_QUEUE_INTERRUPT | (u32)c->vector[i] << 16}};
	struct nvme_command submission = {.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = q->submission_bus,
		.dword = {q->number | (q->size - 1u) << 16,
			NVME_QUEUE_CONTIGUOUS | (u32)q->number << 16}};

	nvme_queue_init(q);
	return admin(c, &completion, NULL) && admin(c, &submission, NULL);
}

bool nvme_make_queues(struct nvme_controller *c)
{
	u32 wanted = c->queues - 1;
	struct nvme_command command = {.opcode = NVME_ADMIN_SET_FEATURES,
		.dword = {NVME_FEATURE_QUEUES, wanted << 16 | wanted}}; /* 5.21.1.7 */
	u32 got;

	if (!admin(c, &command, &got))
		return false;
	if ((got & 0xffff) < wanted)
		wanted = got & 0xffff;
	if (got >> 16 < wanted)
		wanted = got >> 16;
	c->queues = wanted + 1;
	for (u32 i = 0; i < c->queues; i++) {
		if (!make_queue(c, i))
			return false;
	}
	return true;
}
