/*
 * Tests of the volumes of a disk in the description: what root links and refuses, and that the
 * driver reads from its own part of the tree what stands in the device's node.
 */
#include <libfdt.h>
#include <stdlib.h>

#include "drivers/disk/config.h"
#include "drivers/lib/lib.h"
#include "drivers/root/config.h"
#include "tests/unit/root_reader.h"

static const char good[] =
	"/dts-v1/;\n"
	"/ { compatible = \"bulkhead,system-v1\";\n"
	"  cpus { cpu0: cpu@0 { reg = <0>; }; };\n"
	"  pci: pci { compatible = \"pci-host-cam-generic\";\n"
	"    disk0: disk@4,0 { reg = <0x2000 0 0 0 0>; compatible = \"pci1af4,1042\"; namespace = "
	"<3>;\n"
	"      partitions { compatible = \"fixed-partitions\";\n"
	"        a: partition@0 { reg = <0 0 1 0x200>; label = \"first\"; };\n"
	"        b: partition@100000200 { reg = <1 0x200 0 0x400>; read-only; };\n"
	"        c: partition@100000400 { reg = <1 0x400 0 0x400>; read-only; };\n"
	"        home { gpt-name = \"home\"; };\n"
	"        g: log { gpt-uuid = \"01234567-89ab-cdef-0123-456789abcdef\"; read-only; };\n"
	"      }; };\n"
	"    other@5,0 { reg = <0x2800 0 0 0 0>; compatible = \"pci1af4,1042\"; }; };\n"
	"  domains {\n"
	"    disk { compatible = \"bulkhead,domain\"; program = \"virtio_blk.elf\"; cpus = "
	"<&cpu0>;\n"
	"      access = <&disk0>; dma-kib = <512>; };\n"
	"    guest { compatible = \"bulkhead,partition\"; program = \"vmm.elf\"; cpus = <&cpu0>;\n"
	"      machine { boot { kernel = \"vmlinuz\"; }; memory@0 { reg = <0 0 0 0x8000000>; };\n"
	"        pci {\n"
	"          disk@4,0 { compatible = \"pci1af4,1042\"; backend = <&a>; };\n"
	"          disk@5,0 { compatible = \"pci1af4,1042\"; backend = <&b>; };\n"
	"          disk@6,0 { compatible = \"pci1af4,1042\"; backend = <&c>; };\n"
	"          disk@7,0 { compatible = \"pci1af4,1042\"; backend = <&g>; };\n"
	"        };\n"
	"      };\n"
	"    };\n"
	"  };\n"
	"};\n";

static u8 config[TREE_MAX] __attribute__((aligned(8)));
static struct disk_volume_config volume[DISK_VOLUMES_MAX];

static void read_changed(const char *from, const char *to)
{
	static const char *const files[] = {
		"root.elf", "system.dtb", "virtio_blk.elf", "vmm.elf", "vmlinuz"};
	static char source[8192];
	const char *at = strstr(good, from);

	if (!at) {
		test_fail(__FILE__, __LINE__, "\"%s\" is not in the source", from);
		return;
	}
	snprintf(source, sizeof(source), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	compile(source);
	memset(&boot, 0, sizeof(boot));
	boot.cpus = 1;
	boot.files = ARRAY_SIZE(files);
	for (u32 i = 0; i < boot.files; i++) {
		strcpy(boot.file[i].name, files[i]);
		boot.file[i].size = 1000;
	}
	said[0] = 0;
	CHECK(description_read(&d, tree, tree_size, &boot, complain));
}

static u32 blocks(void)
{
	u32 count = 0;

	for (u32 i = 0; i < d.links; i++)
		count += strcmp(d.link[i].protocol, "block") == 0 && d.link[i].server == 0;
	return count;
}

/* Volumes that the driver reads. */
static u32 volumes(u32 phandle)
{
	u64 size = config_make(d.tree.fdt, d.node[0].offset, config, sizeof(config));

	CHECK(size > 0);
	return disk_config_read(config, size, phandle, volume);
}

TEST(disk_volumes)
{
	u32 phandle;

	read_changed("", "");
	CHECK(strcmp(said, "") == 0);
	CHECK_EQ(blocks(), 4);
	CHECK_EQ(d.node[0].dma_kib, 512);
	CHECK_EQ(d.node[1].dma_kib, 256);
	phandle = d.node[0].device[0].phandle;
	CHECK_EQ(volumes(phandle), 5);
	CHECK(strcmp(volume[0].name, "first") == 0 && volume[0].kind == DISK_FIXED);
	CHECK_EQ(volume[0].start, 0);
	CHECK_EQ(volume[0].size, 0x100000200);
	CHECK(!volume[0].read_only && volume[0].phandle == d.link[0].phandle);
	CHECK_EQ(volume[1].start, 0x100000200);
	CHECK(volume[1].read_only);
	CHECK(volume[3].kind == DISK_GPT_NAME && strcmp(volume[3].gpt_name, "home") == 0);
	CHECK_EQ(volume[3].phandle, 0);
	CHECK(volume[4].kind == DISK_GPT_UUID && volume[4].guid[0] == 0x67 && volume[4].read_only);
	CHECK_EQ(disk_config_number(config, sizeof(config), phandle, "namespace", 7), 3);
	CHECK_EQ(disk_config_number(config, sizeof(config), phandle, "reg", 7), 7);
	CHECK_EQ(disk_config_number(config, sizeof(config), 0, "namespace", 7), 7);
	CHECK_EQ(volumes(0), 0);
	CHECK_EQ(volumes(phandle + 1000), 0);
}

/* The driver gets its device's node, and no other's. */
TEST(disk_devices)
{
	read_changed("", "");
	CHECK(volumes(1) < DISK_VOLUMES_MAX);
	CHECK(fdt_path_offset(config, "/devices/disk@4,0/partitions") > 0);
	CHECK(fdt_path_offset(config, "/devices/other@5,0") < 0);
	CHECK(config_make(d.tree.fdt, d.node[1].offset, config, sizeof(config)) > 0);
	CHECK(fdt_path_offset(config, "/devices") < 0);
}

TEST(disk_ranges_that_clash)
{
	/* a writable one over the beginning of another; two read-only ones may */
	read_changed("reg = <0 0 1 0x200>", "reg = <0 0 1 0x201>");
	CHECK_EQ(blocks(), 3);
	CHECK(strstr(said, "disk@5,0: \"backend\" partition@100000200 overlaps partition@0"));
	read_changed("reg = <1 0x400 0 0x400>", "reg = <1 0x200 0 0x400>");
	CHECK_EQ(blocks(), 4);
	read_changed("reg = <1 0x400 0 0x400>; read-only", "reg = <1 0x5ff 0 0x400>");
	CHECK_EQ(blocks(), 3);
	read_changed("backend = <&b>", "backend = <&a>");
	CHECK_EQ(blocks(), 3);
	CHECK(strstr(said, "is given to another device already"));
	read_changed("reg = <0 0 1 0x200>", "reg = <0 0 0xffffffff 0xffffffff>");
	CHECK_EQ(blocks(), 2);
}

TEST(disk_wrong_volumes)
{
	static const char *const wrong[][2] = {
		{"reg = <0 0 1 0x200>", "reg = <0 0 1>"},
		{"gpt-name = \"home\"", "gpt-name = \"\""},
		{"gpt-name = \"home\"", "gpt-name = \"a-name-that-is-37-characters-long--37\""},
		{"gpt-name = \"home\"", "gpt-name = <1>"},
		{"gpt-name = \"home\"", "gpt-name"},
		{"89ab-cdef", "89ab+cdef"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		read_changed(wrong[i][0], wrong[i][1]);
		CHECK_EQ(volumes(d.node[0].device[0].phandle), 0);
	}
}
