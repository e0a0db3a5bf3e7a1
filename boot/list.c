/* Reads files.txt, and checks that system.dtb is a whole device tree. */
#include "list.h"
#include "memory.h"

#define TREE_MAGIC 0xd00dfeedu /* Devicetree Specification 5.2, big-endian at offset 0 */
#define TREE_LEAST 40          /* bytes of the header of version 17 */

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '+' || c == '-';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* FAT knows no case, so two names that differ only in it are one file. */
static bool same_name(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return lower(*a) == lower(*b);
}

/* Appends the name in text[0..length); returns what is wrong with it, or NULL. */
static const char *list_add(struct boot_file *file, u32 *files, const char *text, u64 length)
{
	char name[BOOT_NAME_SIZE] = "";

	if (length >= sizeof(name))
		return "the name is too long";
	for (u64 i = 0; i < length; i++) {
		if (!name_char(text[i]))
			return "only letters, digits and . _ + - may stand in a name";
	}
	if (text[0] == '.')
		return "a name may not begin with a dot";
	memcpy(name, text, length);
	if (*files == 0 && !same_name(name, LIST_ROOT))
		return "the first name must be " LIST_ROOT;
	if (*files > 0 && same_name(name, LIST_SYSTEM))
		return NULL;
	for (u32 i = 0; i < *files; i++) {
		if (same_name(file[i].name, name))
			return "the name stands in the list twice";
	}
	if (*files == BOOT_MAX_FILES)
		return "the list is too long";
	memcpy(file[*files].name, name, sizeof(name));
	(*files)++;
	if (*files == 1)
		memcpy(file[(*files)++].name, LIST_SYSTEM, sizeof(LIST_SYSTEM));
	return NULL;
}

status_t list_read(
	const char *text, u64 size, struct boot_file *file, u32 *files, u32 *line, const char **why)
{
	*files = 0;
	*line = 0;
	for (u64 at = 0; at < size; at++) {
		u64 start = at;
		u64 length;

		(*line)++;
		while (at < size && text[at] != '\n')
			at++;
		length = at - start;
		if (length && text[at - 1] == '\r')
			length--;
		if (!length)
			continue;
		*why = list_add(file, files, text + start, length);
		if (*why)
			return *files == BOOT_MAX_FILES ? STATUS_NO_SPACE : STATUS_DAMAGED;
	}
	*why = "the list is empty";
	return *files ? STATUS_OK : STATUS_DAMAGED;
}

static u32 load_be32(const u8 *at)
{
	return (u32)at[0] << 24 | (u32)at[1] << 16 | (u32)at[2] << 8 | at[3];
}

const char *list_tree_fault(const void *tree, u64 size)
{
	if (size < TREE_LEAST || load_be32(tree) != TREE_MAGIC)
		return "it is no flattened device tree";
	if (load_be32((const u8 *)tree + 4) != size)
		return "its header names another size";
	return NULL;
}
