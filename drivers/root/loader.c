/* Loads a program: text and constants are mapped from the boot file, data is copied. */
#include "drivers/root/elf.h"
#include "drivers/root/member.h"

static bool load_segment(struct member *m, const u8 *file, const struct elf_segment *s)
{
	u32 index = m->node->program;
	u64 size = ALIGN_UP(s->size, PAGE_SIZE);
	u64 flags = MAP_READ | (s->execute ? MAP_EXEC : 0);

	if (s->write)
		return process_memory(m, s->base, s->size, MAP_READ | MAP_WRITE, file + s->offset,
			s->file_size, "data");
	return member_ok(m,
		sys_mem_map(
			m->process.domain, ROOT_CAP_FILE + index, s->base, s->offset, size, flags),
		"text");
}

bool loader_load(struct member *m)
{
	const struct boot_file *f = &boot->file[m->node->program];
	const u8 *file = file_open(m->node->program);
	struct elf_program program;
	const char *wrong;

	if (!file)
		return false;
	wrong = elf_read(&program, file, f->size);
	if (wrong) {
		log_line("%s: %s cannot be started: %s", m->node->name, f->name, wrong);
		return false;
	}
	for (u32 i = 0; i < program.segments; i++) {
		if (!load_segment(m, file, &program.segment[i]))
			return false;
	}
	m->process.entry = program.entry;
	return true;
}
