/*
 * Tests of servers of volumes and of a switch in the description: files, state and sessions that
 * root finds, wrong ones and what is said of them; and that the servers read from their own part of
 * the tree what root read.
 */
#include <libfdt.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/lib/lib.h"
#include "drivers/protocols/volumes.h"
#include "drivers/ramdisk/config.h"
#include "drivers/root/config.h"
#include "drivers/root/description.h"
#include "drivers/switch/switch.h"
#include "tests/unit/root_reader.h"

#define MIB 0x100000ull

static const char good[] =
	"/dts-v1/;\n"
	"/ { compatible = \"bulkhead,system-v1\";\n"
	"  cpus { cpu0: cpu@0 { reg = <0>; }; };\n"
	"  pci { compatible = \"pci-host-cam-generic\";\n"
	"    nic0: ethernet@3,0 { reg = <0x1800 0 0 0 0>; };\n"
	"    nvme0: nvme@4,0 { reg = <0x2000 0 0 0 0>; compatible = \"pciclass,010802\";\n"
	"      partitions { vol_a: partition@0 { reg = <0 0 0 0x200>; }; }; }; };\n"
	"  domains {\n"
	"    ram { compatible = \"bulkhead,domain\"; program = \"ramdisk.elf\"; cpus = <&cpu0>;\n"
	"      volumes {\n"
	"        scratch: volume@0 { reg = <0>; size = <0 0x100000>; label = \"scratch\"; };\n"
	"        unused: volume@1 { reg = <1>; size = <1 0>; };\n"
	"        tools: volume@2 { reg = <2>; file = \"tools.img\"; read-only; };\n"
	"        system: volume@3 { reg = <3>; file = \"system.img\"; copy-on-write;\n"
	"          overlay-kib = <64>; };\n"
	"      };\n"
	"    };\n"
	"    switch { compatible = \"bulkhead,domain\"; program = \"switch.elf\"; cpus = <&cpu0>;\n"
	"      ethernet-ports {\n"
	"        up: port@0 { reg = <0>; backend = <&nic0>; };\n"
	"        port_a: port@1 { reg = <1>; vlan = <10>; };\n"
	"        port_b: port@2 { reg = <2>; max-kbps = <1000>; };\n"
	"      };\n"
	"    };\n"
	"    guest-a { compatible = \"bulkhead,partition\"; program = \"vmm.elf\"; cpus = "
	"<&cpu0>;\n"
	"      machine { boot { kernel = \"vmlinuz\"; }; memory@0 { reg = <0 0 0 0x8000000>; };\n"
	"        pci {\n"
	"          disk@4,0 { compatible = \"pci1af4,1042\"; backend = <&scratch>; };\n"
	"          disk@6,0 { compatible = \"pci1af4,1042\"; backend = <&tools>; };\n"
	"          net@5,0 { compatible = \"pci1af4,1041\"; backend = <&port_a>;\n"
	"            local-mac-address = [02 00 00 00 00 0a]; };\n"
	"        };\n"
	"      };\n"
	"    };\n"
	"    guest-b { compatible = \"bulkhead,partition\"; program = \"vmm.elf\"; cpus = "
	"<&cpu0>;\n"
	"      machine { boot { kernel = \"vmlinuz\"; }; memory@0 { reg = <0 0 0 0x8000000>; };\n"
	"        pci {\n"
	"          disk@4,0 { compatible = \"pci1af4,1042\"; backend = <&system>; };\n"
	"          nic@7,0 { compatible = \"bulkhead,function\"; backend = <&nic0>; };\n"
	"          disk@6,0 { compatible = \"pci1af4,1042\"; backend = <&tools>; };\n"
	"          net@5,0 { compatible = \"pci1af4,1041\"; backend = <&port_b>; };\n"
	"        };\n"
	"      };\n"
	"    };\n"
	"  };\n"
	"};\n";

static u8 config[TREE_MAX] __attribute__((aligned(8)));

static bool read_tree(void)
{
	static const char *const files[] = {"root.elf", "system.dtb", "ramdisk.elf", "switch.elf",
		"vmm.elf", "vmlinuz", "tools.img", "system.img"};

	memset(&boot, 0, sizeof(boot));
	boot.cpus = 1;
	boot.files = ARRAY_SIZE(files);
	for (u32 i = 0; i < boot.files; i++) {
		strcpy(boot.file[i].name, files[i]);
		boot.file[i].size = i < 6 ? 1000 : MIB + 100;
	}
	said[0] = 0;
	return description_read(&d, tree, tree_size, &boot, complain);
}

static bool read_changed(const char *from, const char *to)
{
	static char source[8192];
	const char *at = strstr(good, from);

	if (!at) {
		test_fail(__FILE__, __LINE__, "\"%s\" is not in the source", from);
		return false;
	}
	snprintf(source, sizeof(source), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	compile(source);
	return read_tree();
}

static const struct link *find_link(u32 client, const char *name)
{
	for (u32 i = 0; i < d.links; i++) {
		if (d.link[i].client == client && strcmp(d.link[i].name, name) == 0)
			return &d.link[i];
	}
	return NULL;
}

/* A link of that client by that protocol, whose server is `server`. */
static bool has(u32 client, const char *name, const char *protocol, u32 server)
{
	for (u32 i = 0; i < d.links; i++) {
		const struct link *l = &d.link[i];

		if (l->client == client && l->server == server && l->phandle != 0 &&
			strcmp(l->name, name) == 0 && strcmp(l->protocol, protocol) == 0)
			return true;
	}
	return false;
}

TEST(servers_sessions)
{
	compile(good);
	CHECK(read_tree());
	CHECK_EQ(d.links, 6);
	CHECK(has(2, "guest-a", "block", 0));
	CHECK(has(2, "guest-a:disk@6,0", "block", 0));
	CHECK(has(2, "guest-a", "net", 1));
	CHECK(has(3, "guest-b", "block", 0));
	CHECK(has(3, "guest-b:disk@6,0", "block", 0));
	CHECK(has(3, "guest-b", "net", 1));
	CHECK_EQ(find_link(2, "guest-a:disk@6,0")->phandle,
		find_link(3, "guest-b:disk@6,0")->phandle);
	/* Nobody drives the card: this version gives no PCI device. */
	CHECK(strstr(said, "/domains/switch/ethernet-ports/port@0: \"backend\" ethernet@3,0: no "
			   "domain serves that") != NULL);
	for (u32 i = 0; i < d.nodes; i++)
		CHECK(!d.node[i].bad);
}

/* Of a volume of a disk that somebody drives; one in memory has no device. */
TEST(servers_zero_copy)
{
	static char source[8192];
	const char *at = strstr(good, "    guest-a {");
	const char *disk = strstr(good, "backend = <&scratch>;");

	CHECK(read_changed("backend = <&scratch>;", "backend = <&scratch>; zero-copy;"));
	CHECK(has(2, "guest-a", "block", 0) && !find_link(2, "guest-a")->zero_copy);
	CHECK(strstr(said, "\"zero-copy\": volume@0 is not on a disk") != NULL);
	snprintf(source, sizeof(source), "%.*s%s%.*s%s%s", (int)(at - good), good,
		"    disk { compatible = \"bulkhead,domain\"; program = \"ramdisk.elf\";\n"
		"      cpus = <&cpu0>; access = <&nvme0>; };\n",
		(int)(disk - at), at, "backend = <&vol_a>; zero-copy;",
		disk + strlen("backend = <&scratch>;"));
	compile(source);
	CHECK(read_tree());
	CHECK(has(3, "guest-a", "block", 2) && find_link(3, "guest-a")->zero_copy);
	CHECK(!find_link(3, "guest-a:disk@6,0")->zero_copy);
}

TEST(servers_files_and_state)
{
	const struct domain_node *n = &d.node[0];

	compile(good);
	CHECK(read_tree());
	CHECK_EQ(n->files, 2);
	CHECK(n->file[0] == 6 && n->file[1] == 7);
	CHECK_EQ(n->file_phandle[0], find_link(2, "guest-a:disk@6,0")->phandle);
	CHECK_EQ(n->file_phandle[1], find_link(3, "guest-b")->phandle);
	CHECK_EQ(n->state, VOLUMES_OWN + volume_state_bytes(MIB, MIB) +
				   volume_state_bytes(MIB + 512, 64 << 10));
	CHECK_EQ(d.node[1].state, 0);
	CHECK_EQ(d.node[2].files, 1);
	CHECK_EQ(d.node[2].file_phandle[0], 0);
}

TEST(servers_wrong)
{
	static const struct {
		const char *from;
		const char *to;
		u32 node; /* that is marked; NODE_NONE: none */
		const char *said;
	} wrong[] = {
		{"size = <0 0x100000>;", "", 0, "\"size\" must be whole sectors"},
		{"<0 0x100000>", "<0 0x100001>", 0, "\"size\" must be whole sectors"},
		{"<0 0x100000>", "<0x200 0>", 0, "\"size\" must be whole sectors"},
		{"<0 0x100000>", "<4096>", 0, "\"size\" must be two numbers"},
		{"copy-on-write;", "copy-on-write; size = <0 0x100000>;", 0,
			"not less than the file"},
		{"size = <0 0x100000>;", "size = <0 0x100000>; read-only;", 0, "need a \"file\""},
		{"read-only;", "read-only; copy-on-write;", 0, "a file is either"},
		{"read-only;", "", 0, "a file is either"},
		{"read-only;", "read-only; overlay-kib = <4>;", 0, "needs \"copy-on-write\""},
		{"tools.img", "none.img", 0, "file \"none.img\" is not in the image"},
		{"overlay-kib = <64>", "overlay-kib = <0>", 0, "\"overlay-kib\" is 0"},
		{"backend = <&system>", "backend = <&scratch>", NODE_NONE,
			"/domains/guest-b/machine/pci/disk@4,0: \"backend\" volume@0 is given to "
			"another"},
		{"backend = <&port_b>", "backend = <&port_a>", NODE_NONE,
			"port@1 is given to another"},
		{"backend = <&port_b>", "backend = <&up>", NODE_NONE, "no domain serves that"},
		{"backend = <&port_b>", "backend = <&scratch>", NODE_NONE, "no domain serves that"},
		{"backend = <&system>", "backend = <&port_a>", NODE_NONE, "no domain serves that"},
		{"backend = <&system>", "backend = <&vol_a>", NODE_NONE, "no domain serves that"},
		{"net@5,0 { compatible = \"pci1af4,1041\"; backend = <&port_b>",
			"net@5,0 { compatible = \"pci1af4,1052\"; backend = <&port_b>", NODE_NONE,
			"no domain serves that"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK(read_changed(wrong[i].from, wrong[i].to));
		for (u32 n = 0; n < d.nodes; n++) {
			if (d.node[n].bad != (n == wrong[i].node))
				test_fail(__FILE__, __LINE__, "case %zu: node %u: %s", i, n, said);
		}
		if (!strstr(said, wrong[i].said))
			test_fail(__FILE__, __LINE__, "case %zu: \"%s\" is not in: %s", i,
				wrong[i].said, said);
	}
}

TEST(servers_many_volumes)
{
	static char volumes[4096] = "volumes {";

	for (int i = 10; i < 30; i++) {
		char one[64];

		snprintf(one, sizeof(one), " volume@%x { reg = <%d>; size = <0 512>; };", i, i);
		strcat(volumes, one);
	}
	CHECK(read_changed("volumes {", volumes));
	CHECK(d.node[0].bad);
	CHECK(strstr(said, "more than 16 volumes") != NULL);
}

/* The server of the volumes finds in its own tree what root found. */
TEST(servers_read_volumes)
{
	struct volume_config c[VOLUMES_MAX];
	u64 size;

	compile(good);
	CHECK(read_tree());
	size = config_make(tree, d.node[0].offset, config, sizeof(config));
	CHECK_EQ(volumes_read(config, size, c), 4);
	CHECK(c[0].bytes == MIB && !c[0].has_file && c[0].overlay == ~0ull);
	CHECK(strcmp(c[0].name, "scratch") == 0 && strcmp(c[2].name, "volume@2") == 0);
	CHECK_EQ(c[1].phandle, 0); /* nobody refers to it: neither gives it memory */
	CHECK(c[2].read_only && c[2].has_file && c[2].overlay == 0 && c[2].bytes == 0);
	CHECK_EQ(c[2].phandle, d.node[0].file_phandle[0]);
	CHECK(c[3].has_file && !c[3].read_only && c[3].overlay == 64 << 10);
	CHECK_EQ(volumes_read(config, size - 1, c), 0);
	CHECK_EQ(volumes_read("no tree", 8, c), 0);
}

/* The switch learns the guests' addresses from the description. */
TEST(servers_read_ports)
{
	struct port_config c[SWITCH_PORTS];
	u64 size;

	compile(good);
	CHECK(read_tree());
	size = config_make(tree, d.node[1].offset, config, sizeof(config));
	CHECK_EQ(ports_read(config, size, c), 3);
	CHECK(c[0].backend != 0 && c[0].mac == 0 && c[0].number == 0);
	CHECK(c[1].backend == 0 && c[1].mac == 0x02000000000a && c[1].vlan == 10);
	for (u32 i = 0; i < d.links; i++) {
		if (d.link[i].client == 2 && d.link[i].server == 1)
			CHECK_EQ(c[1].phandle, d.link[i].phandle);
	}
	CHECK(c[2].mac == 0 && c[2].max_kbps == 1000 && c[2].vlan == SWITCH_VLAN_NONE);
	CHECK_EQ(ports_read(config, size - 1, c), 0);
	CHECK_EQ(ports_read("no tree", 8, c), 0);
}

TEST(servers_random_damage)
{
	struct volume_config c[VOLUMES_MAX];
	struct port_config p[SWITCH_PORTS];

	compile(good);
	for (int i = 0; i < 20000; i++) {
		u8 *copy = malloc(tree_size);

		memcpy(copy, tree, tree_size);
		for (long k = random() % 4; k >= 0; k--)
			copy[(size_t)random() % tree_size] = (u8)random();
		said[0] = 0;
		if (description_read(&d, copy, tree_size, &boot, complain)) {
			for (u32 n = 0; n < d.nodes; n++) {
				u64 size =
					config_make(copy, d.node[n].offset, config, sizeof(config));

				volumes_read(config, size, c);
				ports_read(config, size, p);
			}
		}
		free(copy);
	}
}
