/*
 * A plugin for QEMU's code generator that counts executed instructions by the block of code that
 * they lie in. A program marks the ends of what is counted by instructions that do nothing, see
 * mark.h: at MARK_BEGIN and MARK_END a record of what was executed since the last record is
 * written, "mark KIND OPERATIONS" and a line "ADDRESS INSTRUCTIONS BYTES" for each block. Only one
 * thread may execute code (accel tcg,thread=single).
 *
 * The interface is QEMU 7.2's, docs/devel/tcg-plugins.rst; Debian has no header of it.
 */
#include "tests/bench/mark.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT        __attribute__((visibility("default")))
#define BUCKETS       (1u << 18)
#define ADD_U64       0   /* enum qemu_plugin_op */
#define NO_REGISTERS  0   /* enum qemu_plugin_cb_flags */
#define SIZE_MAX_KEPT 32u /* bytes of a block that tell it from another at the same address */

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void tb_trans_cb(uint64_t id, struct qemu_plugin_tb *tb);
typedef void insn_exec_cb(unsigned vcpu, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_cb *call);
extern void qemu_plugin_register_vcpu_tb_exec_inline(
	struct qemu_plugin_tb *tb, int op, void *counter, uint64_t value);
extern void qemu_plugin_register_vcpu_insn_exec_inline(
	struct qemu_plugin_insn *insn, int op, void *counter, uint64_t value);
extern void qemu_plugin_register_vcpu_insn_exec_cb(
	struct qemu_plugin_insn *insn, insn_exec_cb *call, int flags, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

/* Code at a virtual address. It is translated again and again, and stays one block. */
struct block {
	struct block *next;
	uint64_t address;
	uint64_t executed, reported; /* instructions */
	uint32_t size;
	uint8_t byte[SIZE_MAX_KEPT];
};

EXPORT int qemu_plugin_version = 1;

static struct block *bucket[BUCKETS];
static uint64_t operations, operations_reported;
static FILE *out;

static struct block *block_of(const struct block *like)
{
	uint64_t hash = like->address;
	struct block *b;

	for (uint32_t i = 0; i < like->size; i++)
		hash = (hash ^ like->byte[i]) * 0x100000001b3;
	hash = (hash ^ hash >> 32) % BUCKETS;
	for (b = bucket[hash]; b; b = b->next) {
		if (b->address == like->address && b->size == like->size &&
			memcmp(b->byte, like->byte, like->size) == 0)
			return b;
	}
	b = malloc(sizeof(*b));
	if (!b)
		abort();
	*b = *like;
	b->next = bucket[hash];
	bucket[hash] = b;
	return b;
}

static void report(unsigned vcpu, void *kind)
{
	(void)vcpu;
	fprintf(out, "mark %u %lu\n", (unsigned)(uintptr_t)kind, operations - operations_reported);
	operations_reported = operations;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		for (struct block *b = bucket[i]; b; b = b->next) {
			if (b->executed == b->reported)
				continue;
			fprintf(out, "%lx %lu ", b->address, b->executed - b->reported);
			for (uint32_t j = 0; j < b->size; j++)
				fprintf(out, "%02x", b->byte[j]);
			fputc('\n', out);
			b->reported = b->executed;
		}
	}
	fflush(out);
}

static void look_for_mark(struct qemu_plugin_insn *insn)
{
	static const uint8_t mark[] = {MARK_BYTES};
	const uint8_t *byte = qemu_plugin_insn_data(insn);

	if (qemu_plugin_insn_size(insn) != sizeof(mark) + 1 ||
		memcmp(byte, mark, sizeof(mark)) != 0)
		return;
	if (byte[sizeof(mark)] == MARK_OPERATION)
		qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &operations, 1);
	else
		qemu_plugin_register_vcpu_insn_exec_cb(
			insn, report, NO_REGISTERS, (void *)(uintptr_t)byte[sizeof(mark)]);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);
	struct block block = {.address = qemu_plugin_tb_vaddr(tb)};

	(void)id;
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		size_t size = qemu_plugin_insn_size(insn);

		if (size > SIZE_MAX_KEPT - block.size)
			size = SIZE_MAX_KEPT - block.size;
		memcpy(block.byte + block.size, qemu_plugin_insn_data(insn), size);
		block.size += (uint32_t)size;
		look_for_mark(insn);
	}
	qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD_U64, &block_of(&block)->executed, count);
}

EXPORT int qemu_plugin_install(uint64_t id, const void *machine, int argc, char **argv)
{
	(void)machine;
	if (argc == 1 && strncmp(argv[0], "out=", 4) == 0)
		out = fopen(argv[0] + 4, "w");
	if (!out)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
