/* The list of boot files, and the look of a device tree. */
#include "test.h"
#include "boot/list.h"

static struct boot_file file[BOOT_MAX_FILES];
static u32 files;
static u32 line;

static status_t read_list(const char *text)
{
	const char *why;

	memset(file, 0, sizeof(file));
	return list_read(text, strlen(text), file, &files, &line, &why);
}

TEST(list_order)
{
	CHECK_EQ(read_list("root.elf\r\n\nvmlinuz\nA-b_c+d.0\nsystem.dtb"), STATUS_OK);
	CHECK_EQ(files, 4);
	CHECK(strcmp(file[0].name, "root.elf") == 0);
	CHECK(strcmp(file[1].name, "system.dtb") == 0);
	CHECK(strcmp(file[2].name, "vmlinuz") == 0);
	CHECK(strcmp(file[3].name, "A-b_c+d.0") == 0);
}

TEST(list_refused)
{
	CHECK_EQ(read_list(""), STATUS_DAMAGED);
	CHECK_EQ(read_list("\n\r\n"), STATUS_DAMAGED);
	CHECK_EQ(read_list("vmlinuz\nroot.elf\n"), STATUS_DAMAGED);
	CHECK_EQ(line, 1);
	CHECK_EQ(read_list("root.elf\n../x\n"), STATUS_DAMAGED);
	CHECK_EQ(line, 2);
	CHECK_EQ(read_list("root.elf\nEFI\\x\n"), STATUS_DAMAGED);
	CHECK_EQ(read_list("root.elf\na b\n"), STATUS_DAMAGED);
	CHECK_EQ(read_list("root.elf\na\x80\n"), STATUS_DAMAGED);
	CHECK_EQ(read_list("root.elf\nvmlinuz\nVMLINUZ\n"), STATUS_DAMAGED);
	CHECK_EQ(line, 3);
}

TEST(list_long_name)
{
	char text[128] = "root.elf\n";

	memset(text + 9, 'x', BOOT_NAME_SIZE - 1);
	CHECK_EQ(read_list(text), STATUS_OK);
	CHECK_EQ(strlen(file[2].name), BOOT_NAME_SIZE - 1);
	memset(text + 9, 'x', BOOT_NAME_SIZE);
	CHECK_EQ(read_list(text), STATUS_DAMAGED);
}

TEST(list_too_many)
{
	char text[16 * BOOT_MAX_FILES] = "root.elf\n";

	for (u32 i = 2; i < BOOT_MAX_FILES; i++)
		snprintf(text + strlen(text), 16, "f%u\n", i);
	CHECK_EQ(read_list(text), STATUS_OK);
	CHECK_EQ(files, BOOT_MAX_FILES);
	strcat(text, "one\n");
	CHECK_EQ(read_list(text), STATUS_NO_SPACE);
}

TEST(list_tree)
{
	u8 tree[48] = {0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 48};

	CHECK(!list_tree_fault(tree, 48));
	CHECK(list_tree_fault(tree, 47));
	CHECK(list_tree_fault(tree, 3));
	tree[0] = 0;
	CHECK(list_tree_fault(tree, 48));
}
