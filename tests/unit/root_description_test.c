/*
 * Tests of reading a system description: a good one in full, wrong ones and what is said of them,
 * and damaged ones, which must be refused or read, but never read beyond their end.
 */
#include <libfdt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "drivers/lib/lib.h"
#include "drivers/root/config.h"
#include "drivers/root/description.h"
#include "tests/unit/root_reader.h"

static const char good[] =
	"/dts-v1/;\n"
	"/ {\n"
	"  compatible = \"bulkhead,system-v1\"; #address-cells = <2>; #size-cells = <2>;\n"
	"  chosen { stdout-path = &com1; };\n"
	"  cpus { #address-cells = <1>; #size-cells = <0>;\n"
	"    cpu0: cpu@0 { device_type = \"cpu\"; reg = <0>; };\n"
	"    cpu1: cpu@4 { device_type = \"cpu\"; reg = <4>; }; };\n"
	"  isa { compatible = \"isa\"; #address-cells = <2>; #size-cells = <1>;\n"
	"    com1: serial@i3f8 { compatible = \"ns16550a\"; reg = <1 0x3f8 8>; interrupts = <4 0>; "
	"};\n"
	"    com2: serial@i2f8 { compatible = \"ns16550a\"; reg = <1 0x2f8 8>; interrupts = <3 0>; "
	"};\n"
	"  };\n"
	"  pci { nic0: ethernet@3,0 { reg = <0x1800 0 0 0 0>; compatible = \"pci8086,10d3\"; }; "
	"};\n"
	"  domains {\n"
	"    uart { compatible = \"bulkhead,domain\"; program = \"uart.elf\"; cpus = <&cpu0>;\n"
	"      access = <&com1>; restart-limit = <3 30>; };\n"
	"    console: console { compatible = \"bulkhead,domain\"; program = \"console.elf\";\n"
	"      cpus = <&cpu0>; pool-kib = <512>; };\n"
	"    guest-a { compatible = \"bulkhead,partition\"; program = \"vmm.elf\";\n"
	"      cpus = <&cpu1 &cpu0>; priority = <12>; budget-us = <5000>; period-us = <10000>;\n"
	"      on-exit = \"restart\"; autostart = <0>;\n"
	"      machine { #address-cells = <2>; #size-cells = <2>;\n"
	"        boot { kernel = \"vmlinuz\"; bootargs = \"quiet\"; };\n"
	"        memory@0 { device_type = \"memory\"; reg = <0 0 0 0x8000000>, <1 0 0 0x200000>; "
	"};\n"
	"        isa { compatible = \"isa\";\n"
	"          serial@i3f8 { compatible = \"ns16550a\"; reg = <1 0x3f8 8>; backend = "
	"<&console>; };\n"
	"          serial@i2f8 { compatible = \"ns16550a\"; reg = <1 0x2f8 8>; backend = "
	"<&console>; };\n"
	"        };\n"
	"      };\n"
	"    };\n"
	"  };\n"
	"};\n";

static bool read_tree(void)
{
	static const char *const files[] = {
		"root.elf", "system.dtb", "uart.elf", "console.elf", "vmm.elf", "vmlinuz", "m.bin"};

	memset(&boot, 0, sizeof(boot));
	boot.cpus = 2;
	boot.cpu[0].apic_id = 0;
	boot.cpu[1].apic_id = 4;
	boot.ioapics = 2;
	boot.ioapic[0].address = 0xfec10000;
	boot.ioapic[1] = (struct boot_ioapic){.address = 0xfec00000, .gsi_base = 24};
	boot.files = ARRAY_SIZE(files);
	for (u32 i = 0; i < boot.files; i++)
		strcpy(boot.file[i].name, files[i]);
	said[0] = 0;
	return description_read(&d, tree, tree_size, &boot, complain);
}

/* Replaces the first `from` in the good source, compiles and reads it. */
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

#define BOOT_NODE "boot { kernel = \"vmlinuz\"; bootargs = \"quiet\"; };"
#define MODULES_4                                                                                  \
	"m1 { file = \"m.bin\"; }; m2 { file = \"m.bin\"; }; m3 { file = \"m.bin\"; }; "           \
	"m4 { file = \"m.bin\"; }; "

/* Nodes below `boot` are files that the guest gets besides. */
TEST(description_modules)
{
	CHECK(read_changed(BOOT_NODE,
		"boot { kernel = \"vmlinuz\"; one { file = \"m.bin\"; args = \"x y\"; }; "
		"two { file = \"vmlinuz\"; }; };"));
	CHECK_EQ(said[0], 0);
	CHECK_EQ(d.node[2].files, 3);
	CHECK_EQ(d.node[2].file[0], 5);
	CHECK_EQ(d.node[2].file[1], 6);
	CHECK_EQ(d.node[2].file[2], 5);
	CHECK(read_changed(BOOT_NODE, "boot { kernel = \"vmlinuz\"; one { args = \"x y\"; }; };"));
	CHECK(strstr(said, "property \"file\" is missing") != NULL);
	CHECK(d.node[2].bad);
	CHECK(read_changed(BOOT_NODE, "boot { kernel = \"vmlinuz\"; one { file = \"no\"; }; };"));
	CHECK(strstr(said, "file \"no\" is not in the image") != NULL);
	CHECK(d.node[2].bad);
	CHECK(read_changed(
		BOOT_NODE, "boot { kernel = \"vmlinuz\"; initrd = \"m.bin\"; " MODULES_4 "};"));
	CHECK(!d.node[2].bad);
	CHECK(read_changed(BOOT_NODE,
		"boot { kernel = \"vmlinuz\"; initrd = \"m.bin\"; m5 { file = \"m.bin\"; }; "
		"m6 { file = \"m.bin\"; }; m7 { file = \"m.bin\"; }; m8 { file = \"m.bin\"; }; "
		"m1 { file = \"m.bin\"; }; m2 { file = \"m.bin\"; }; m3 { file = \"m.bin\"; }; "
		"m4 { file = \"m.bin\"; }; m9 { file = \"m.bin\"; }; ma { file = \"m.bin\"; }; mb "
		"{ file = \"m.bin\"; "
		"}; " MODULES_4 "};"));
	CHECK(d.node[2].bad);
	CHECK_EQ(d.node[2].files, NODE_FILES);
	CHECK(strstr(said, "more than 16 files") != NULL);
}

/* Reads the good source with more nodes and properties merged into it. */
static bool read_with(const char *more)
{
	static char source[8192];

	snprintf(source, sizeof(source), "%s/ { domains { %s }; };\n", good, more);
	compile(source);
	return read_tree();
}

#define UART2                                                                                      \
	"uart2 { compatible = \"bulkhead,domain\"; program = \"uart.elf\"; cpus = <&cpu0>; "       \
	"access = <&com2>; }; "

/* One function is given to one domain, whatever nodes name it. */
TEST(description_function_twice)
{
	static const char *const other[] = {"nic0", "again"};
	static char source[8192];

	for (u32 i = 0; i < 2; i++) {
		snprintf(source, sizeof(source),
			"%s/ { pci { compatible = \"pci-host-cam-generic\"; again: again@3,0 { "
			"reg = <0x1800 0 0 0 0>; compatible = \"pciclass,020000\"; }; };\n"
			"domains { first { compatible = \"bulkhead,domain\"; program = "
			"\"uart.elf\"; "
			"cpus = <&cpu0>; access = <&nic0>; };\n"
			"second { compatible = \"bulkhead,domain\"; program = \"uart.elf\"; "
			"cpus = <&cpu0>; access = <&%s>; }; }; };\n",
			good, other[i]);
		compile(source);
		CHECK(read_tree());
		CHECK(strstr(said, "/domains/second: device ") &&
			strstr(said, " is already given to first"));
		CHECK(!d.node[3].bad && d.node[4].bad);
	}
}

#define SCREEN                                                                                     \
	"screen { compatible = \"bulkhead,domain\"; program = \"uart.elf\"; cpus = <&cpu0>; "      \
	"access = <&fb>; keyboard = <&kbd>; }; "
#define KEYBOARD                                                                                   \
	"keys { compatible = \"bulkhead,domain\"; program = \"uart.elf\"; cpus = <&cpu0>; "        \
	"access = <&kbd>; }; "
#define SCREEN_HARDWARE                                                                            \
	" }; chosen { fb: framebuffer { compatible = \"simple-framebuffer\"; }; }; "               \
	"isa { kbd: i8042@i60 { compatible = \"pnpPNP,303\"; reg = <1 0x60 1 1 0x64 1>; "          \
	"interrupts = <1 0>; }; }; dummy { "

/* The screen is a terminal of the console, and a client of its keyboards. */
TEST(description_screen)
{
	const struct link *l;

	CHECK(read_with(SCREEN KEYBOARD SCREEN_HARDWARE));
	CHECK_EQ(said[0], 0);
	CHECK_EQ(d.display, 3);
	CHECK_EQ(d.node[3].device[0].kind, DEVICE_FRAMEBUFFER);
	CHECK(d.node[3].state > 0);
	CHECK_EQ(d.node[3].priority, d.node[0].priority);
	CHECK(d.node[4].device[0].port == 0x60 && d.node[4].device[0].more_port == 0x64);
	CHECK_EQ(d.links, 6);
	l = &d.link[2];
	CHECK(l->client == 1 && l->server == 3 && strcmp(l->protocol, "serial") == 0);
	l = &d.link[5];
	CHECK(l->client == 3 && l->server == 4 && strcmp(l->protocol, "serial") == 0);
	CHECK_EQ(l->phandle, d.node[4].device[0].phandle);
	CHECK(read_with(SCREEN SCREEN_HARDWARE));
	CHECK(strstr(said, "\"keyboard\" i8042@i60: no other domain drives that") != NULL);
	CHECK(read_with(SCREEN KEYBOARD "screen { keyboard = <&kbd &kbd>; };" SCREEN_HARDWARE));
	CHECK(strstr(said, "\"keyboard\" i8042@i60: it is given already") != NULL);
	CHECK_EQ(d.links, 6);
	CHECK(read_with(SCREEN "screen { keyboard = <&com1>; };" SCREEN_HARDWARE));
	CHECK(strstr(said, "it is given already") != NULL); /* the console's */
}

/* A partition's own line to a debugger. */
TEST(description_debug)
{
	const struct link *l;

	CHECK(read_with(UART2 "guest-a { debug = <&com2>; };"));
	CHECK_EQ(said[0], 0);
	CHECK_EQ(d.links, 5);
	l = &d.link[2];
	CHECK(strcmp(l->protocol, "serial") == 0 && strcmp(l->name, "guest-a") == 0);
	CHECK_EQ(l->client, 2);
	CHECK_EQ(l->server, 3);
	CHECK_EQ(l->phandle, d.node[3].device[0].phandle);
	CHECK(read_with("guest-a { debug = <&com2>; };"));
	CHECK(strstr(said, "no domain drives that as a serial port") != NULL);
	CHECK_EQ(d.links, 4);
	CHECK(read_with("guest-a { debug = <&com1>; };"));
	CHECK(strstr(said, "is used already") != NULL);
	CHECK(read_with(UART2 "guest-a { debug = <&nic0>; };"));
	CHECK(strstr(said, "no domain drives that") != NULL);
	CHECK(read_with("guest-a { debug = <&com1 &com2>; };"));
	CHECK(strstr(said, "must name one serial port") != NULL);
	CHECK_EQ(d.links, 4);
}

TEST(description_good)
{
	const struct domain_node *n;

	compile(good);
	CHECK(read_tree());
	CHECK_EQ(said[0], 0);
	CHECK_EQ(d.nodes, 3);
	n = &d.node[0];
	CHECK(strcmp(n->name, "uart") == 0 && n->class == NODE_DOMAIN && !n->bad);
	CHECK_EQ(n->program, 2);
	CHECK_EQ(n->devices, 1);
	CHECK_EQ(n->device[0].port, 0x3f8);
	CHECK_EQ(n->device[0].ports, 8);
	CHECK(n->device[0].has_irq && n->device[0].isa_irq == 4);
	CHECK_EQ(n->restart_times, 3);
	CHECK_EQ(n->restart_seconds, 30);
	CHECK_EQ(n->restart_delay_ms, 100);
	CHECK(n->heartbeat_ms == 1000 && !n->heartbeat_set && !d.fault_injection);
	CHECK_EQ(n->priority, 40);
	CHECK_EQ(d.node[1].priority, 40);
	CHECK_EQ(d.node[1].pool_kib, 512);
	CHECK_EQ(d.node[1].restart_times, 5);
	n = &d.node[2];
	CHECK(strcmp(n->name, "guest-a") == 0 && n->class == NODE_PARTITION && !n->bad);
	CHECK_EQ(n->cpus, 2);
	CHECK_EQ(n->cpu[0], 1);
	CHECK_EQ(n->cpu[1], 0);
	CHECK(n->priority == 12 && n->budget_us == 5000 && n->period_us == 10000);
	CHECK(!n->autostart && n->on_exit_restart);
	CHECK_EQ(n->rams, 2);
	CHECK_EQ(n->ram[0].size, 0x8000000);
	CHECK_EQ(n->ram[1].gpa, 0x100000000ull);
	CHECK_EQ(n->files, 1);
	CHECK_EQ(n->file[0], 5);
}

TEST(description_supervision)
{
	CHECK(read_with("uart { heartbeat-ms = <0>; restart-delay-ms = <7>; };"));
	CHECK_EQ(said[0], 0);
	CHECK(d.node[0].heartbeat_set && d.node[0].heartbeat_ms == 0);
	CHECK_EQ(d.node[0].restart_delay_ms, 7);
	CHECK(read_with("fault-injection; guest-a { replay-off; };"));
	CHECK_EQ(said[0], 0);
	CHECK(d.fault_injection);
	CHECK(read_with("guest-a { replay-off; };"));
	CHECK(d.node[2].bad && strstr(said, "\"replay-off\" needs") != NULL);
	CHECK(read_with("uart { heartbeat-ms = <60001>; };"));
	CHECK(d.node[0].bad && strstr(said, "must be 0 to 60000") != NULL);
	CHECK(read_with("uart { restart-delay-ms = <10001>; };"));
	CHECK(d.node[0].bad && strstr(said, "must be 0 to 10000") != NULL);
}

TEST(description_sessions)
{
	compile(good);
	CHECK(read_tree());
	CHECK_EQ(d.console, 1);
	CHECK_EQ(d.serial, 0);
	CHECK_EQ(d.links, 4);
	CHECK(d.link[0].client == NODE_ROOT && d.link[0].server == 1);
	CHECK(strcmp(d.link[0].name, "root") == 0);
	CHECK(d.link[1].client == 1 && d.link[1].server == 0);
	CHECK(strcmp(d.link[1].protocol, "serial") == 0);
	CHECK(d.link[2].client == 2 && d.link[2].server == 1);
	CHECK(strcmp(d.link[2].name, "guest-a") == 0 && d.link[2].phandle != 0);
	CHECK(strcmp(d.link[3].name, "guest-a:serial@i2f8") == 0);
}

/* Each wrong description spoils one node only, and what is said names it. */
TEST(description_wrong_nodes)
{
	static const struct {
		const char *from;
		const char *to;
		u32 node; /* that is marked; NODE_NONE: none */
		const char *said;
	} wrong[] = {
		{"reg = <4>", "reg = <5>", 2,
			"/domains/guest-a: CPU 5 (cpu@4) is missing: this machine has 2 CPUs"},
		{"cpus = <&cpu0>;", "", 0, "/domains/uart: property \"cpus\" must name 1 to"},
		{"cpus = <&cpu0>;", "cpus = <77>;", 0, "refers to no node (phandle 77)"},
		{"cpus = <&cpu0>;", "cpus = [00 01];", 0, "must be numbers of 32 bits"},
		{"program = \"uart.elf\";", "", 0, "property \"program\" is missing"},
		{"\"uart.elf\"", "\"other.elf\"", 0, "file \"other.elf\" is not in the image"},
		{"\"uart.elf\"", "\"a\", \"b\"", 0, "must be one string"},
		{"\"vmlinuz\"", "\"vmlinux\"", 2, "file \"vmlinux\" is not in the image"},
		{"<5000>", "<50000>", 2, "\"budget-us\" is more than"},
		{"<12>", "<63>", 2, "\"priority\" is 63, but must be 1 to 55"},
		{"<12>", "<1 2>", 2, "\"priority\" must be one number"},
		{"<3 30>", "<3>", 0, "\"restart-limit\" must be <times seconds>"},
		{"<&com1>; restart", "<&nic0>; restart", 0, "not on an ISA or PCI bus"},
		{"reg = <1 0x3f8 8>", "reg = <1 0xffff 8>", 0, "must be <1 PORT COUNT>"},
		{"reg = <1 0x3f8 8>", "reg = <0 0x3f8 8>", 0, "must be <1 PORT COUNT>"},
		{"<4 0>", "<24 0>", 0, "names line 24"},
		{"pool-kib = <512>;", "access = <&com1>;", 1, "is already given to uart"},
		{"console: console", "console: root", 1, "the name \"root\" is taken"},
		{"<0 0 0 0x8000000>", "<0 0 0 0x8000001>", 2, "must be whole pages"},
		{"<0 0 0 0x8000000>", "<0 0 2 0>", 2, "overlaps that at"},
		{"<0 0 0 0x8000000>", "<0 0 0 0>", 2, "must be whole pages"},
		{"<0 0 0 0x8000000>", "<0x100 0 0 0x1000>", 2, "below 1 TiB"},
		{"<0 0 0 0x8000000>", "<0 0 0>", 2, "\"reg\" must be"},
		{"memory@0", "nemory@0", 2, "\"memory@0\" is missing"},
		{"boot {", "root {", 2, "\"machine/boot\" is missing"},
		{"bulkhead,domain", "bulkhead,dom", 0, "\"compatible\" must be"},
		{"backend = <&console>", "backend = <&nic0>", NODE_NONE, "no domain serves that"},
		{"backend = <&console>", "backend = <1 2>", NODE_NONE, "must name one node"},
		{"stdout-path = &com1", "stdout-path = &com2", NODE_NONE,
			"no domain has \"access\""},
		{"stdout-path = &com1", "stdout-path = \"/x\"", NODE_NONE, "names no node"},
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

#define NIC       "pci { nic0:"
#define APIC      "apic: interrupt-controller@fec00000 { reg = <0 0xfec00000 0 0x1000>; };"
#define MAP(text) APIC " pci { #interrupt-cells = <1>; interrupt-map = " text "; nic0:"

TEST(description_interrupt_map)
{
	static const struct {
		const char *to;
		u32 entries;
		const char *said;
	} wrong[] = {
		{MAP("<0x1800 0 0 1 &apic 9>"), 0, "1 to 128 times 7 numbers"},
		{MAP("\"text\""), 0, "must be numbers of 32 bits"},
		{MAP("<0x1800 0 0 5 &apic 9 1>"), 0, "must be <BUS-DEVICE-FUNCTION"},
		{MAP("<0x1800 0 0 0 &apic 9 1>"), 0, "must be <BUS-DEVICE-FUNCTION"},
		{MAP("<0x1801 0 0 1 &apic 9 1>"), 0, "must be <BUS-DEVICE-FUNCTION"},
		{MAP("<0x1800 0 0 1 &apic 9 4>"), 0, "must be <BUS-DEVICE-FUNCTION"},
		{MAP("<0x1800 0 0 1 &cpu0 9 1>"), 0, "no I/O APIC at 0 with input 9"},
		{MAP("<0x1800 0 0 1 77 9 1>"), 0, "refers to no node"},
		{MAP("<0x1800 0 0 1 &apic 240 1>"), 0, "no I/O APIC at 0xfec00000 with input 240"},
		{MAP("<0x1800 0 0 1 &apic 9 9 0x1800 0 0 2 &apic 9 1>"), 1, "must be <BUS"},
		{MAP("<0x1800 0 0 1 &apic 9 1>; interrupt-map-mask = <7>"), 0, "<MASK 0 0 7>"},
	};

	CHECK(read_changed(NIC, MAP("<0x1800 0 0 1 &apic 9 1 0x2000 0 0 4 &apic 0 0>, "
				    "<0x12300 0 0 2 &apic 23 2 0x100 0 0 3 &apic 1 3>")));
	CHECK_EQ(said[0], 0);
	CHECK_EQ(d.map.entries, 4);
	CHECK_EQ(d.map.address_mask, 0xffff00);
	CHECK_EQ(d.map.entry[0].address, 0x1800);
	CHECK_EQ(d.map.entry[0].pin, 1);
	CHECK_EQ(d.map.entry[0].to.gsi, 33);
	CHECK_EQ(d.map.entry[0].to.flags, BOOT_IRQ_LEVEL | BOOT_IRQ_ACTIVE_LOW);
	CHECK_EQ(d.map.entry[1].to.gsi, 24);
	CHECK_EQ(d.map.entry[1].to.flags, 0);
	CHECK_EQ(d.map.entry[2].to.flags, BOOT_IRQ_LEVEL);
	CHECK_EQ(d.map.entry[3].to.flags, BOOT_IRQ_ACTIVE_LOW);
	CHECK(read_changed(
		NIC, MAP("<0x1800 0 0 1 &apic 9 1>; interrupt-map-mask = <0xf800 0 0 7>")));
	CHECK_EQ(d.map.address_mask, 0xf800);
	CHECK(read_changed("pci { nic0:", "pci { nic0:"));
	CHECK_EQ(d.map.entries, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK(read_changed(NIC, wrong[i].to));
		CHECK_EQ(d.map.entries, wrong[i].entries);
		if (!strstr(said, wrong[i].said))
			test_fail(__FILE__, __LINE__, "case %zu: \"%s\" is not in: %s", i,
				wrong[i].said, said);
	}
}

TEST(description_refused)
{
	CHECK(!read_changed("system-v1", "system-v2"));
	CHECK(strstr(said, "schema \"bulkhead,system-v2\" is not known") != NULL);
	CHECK(!read_changed("compatible = \"bulkhead,system-v1\";", ""));
	CHECK(!read_changed("domains {", "domain {"));
	CHECK(strstr(said, "\"/domains\" is missing") != NULL);
}

TEST(description_many_nodes)
{
	static char source[65536];
	size_t n = (size_t)snprintf(source, sizeof(source),
		"/dts-v1/; / { compatible = "
		"\"bulkhead,system-v1\"; domains {\n");

	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(source + n, sizeof(source) - n,
			"d%d { compatible = "
			"\"bulkhead,domain\"; };\n",
			i);
	snprintf(source + n, sizeof(source) - n, "}; };\n");
	compile(source);
	CHECK(read_tree());
	CHECK_EQ(d.nodes, NODES_MAX);
	CHECK(strstr(said, "more than 48 domains") != NULL);
}

/* The tree in a block of just its size, so that the sanitizer sees every byte read beyond it. */
static void read_exact(const u8 *from, size_t size)
{
	u8 *copy = malloc(size ? size : 1);

	memcpy(copy, from, size);
	said[0] = 0;
	description_read(&d, copy, size, &boot, complain);
	free(copy);
}

TEST(description_cut_short)
{
	compile(good);
	read_tree();
	for (size_t size = 0; size < tree_size; size++)
		read_exact(tree, size);
}

TEST(description_random_damage)
{
	static u8 copy[TREE_MAX];

	compile(good);
	read_tree();
	for (int i = 0; i < 30000; i++) {
		memcpy(copy, tree, tree_size);
		for (long k = random() % 4; k >= 0; k--)
			copy[(size_t)random() % tree_size] = (u8)random();
		read_exact(copy, tree_size);
	}
}

TEST(config_is_subtree)
{
	static u8 config[TREE_MAX];
	int boot_node;
	u64 size;

	compile(good);
	CHECK(read_tree());
	size = config_make(tree, d.node[2].offset, config, sizeof(config));
	CHECK(size > 0);
	CHECK_EQ(fdt_check_full(config, size), 0);
	CHECK(fdt_node_check_compatible(config, 0, "bulkhead,partition") == 0);
	boot_node = fdt_path_offset(config, "/machine/boot");
	CHECK(boot_node > 0);
	CHECK(strcmp(fdt_getprop(config, boot_node, "bootargs", NULL), "quiet") == 0);
	CHECK(fdt_path_offset(config, "/machine/isa/serial@i2f8") > 0);
	CHECK(fdt_path_offset(config, "/domains") < 0);
	for (u64 room = 0; room < size; room += 16)
		CHECK_EQ(config_make(tree, d.node[2].offset, config, room), 0);
}
