/* The heap: blocks in address order, each with a header; first fit, neighbours joined when freed.
 */
#include "drivers/lib/lib.h"

struct block {
	size_t size; /* bytes after the header, a multiple of 16 */
	bool used;
};
static_assert(sizeof(struct block) == 16);

static struct block *heap;
static struct block *heap_end;

static struct block *next(struct block *b)
{
	return (struct block *)((u8 *)(b + 1) + b->size);
}

void heap_init(void *base, size_t size)
{
	heap = base;
	heap_end = (struct block *)((u8 *)base + ALIGN_DOWN(size, 16));
	heap->size = ALIGN_DOWN(size, 16) - sizeof(*heap);
	heap->used = false;
}

void *heap_alloc(size_t size)
{
	if (size > SIZE_MAX - 64)
		return NULL;
	size = ALIGN_UP(size ? size : 1, 16);
	for (struct block *b = heap; b && b < heap_end; b = next(b)) {
		if (b->used || b->size < size)
			continue;
		if (b->size >= size + 2 * sizeof(*b)) {
			size_t rest = b->size - size - sizeof(*b);

			b->size = size;
			*next(b) = (struct block){rest, false};
		}
		b->used = true;
		return memset(b + 1, 0, b->size);
	}
	return NULL;
}

void heap_free(void *block)
{
	struct block *b = block;

	if (!b)
		return;
	b--;
	check(b >= heap && b < heap_end && b->used);
	b->used = false;
	for (b = heap; b < heap_end; b = next(b)) {
		while (!b->used && next(b) < heap_end && !next(b)->used)
			b->size += sizeof(*b) + next(b)->size;
	}
}

size_t heap_left(void)
{
	size_t left = 0;

	for (struct block *b = heap; b && b < heap_end; b = next(b))
		left += b->used ? 0 : b->size;
	return left;
}
