/* What is printed on the keys: see layout.h. */
#include "drivers/keyboard/layout.h"
#include "drivers/lib/lib.h"

#define USAGE_FIRST 0x04u /* a */
#define USAGE_LAST  0x38u /* slash */

/* Usages 04 to 38: plain, and with Shift. Enter, Escape, Backspace, Tab are no characters here. */
static const char us[2][USAGE_LAST - USAGE_FIRST + 2] = {
	"abcdefghijklmnopqrstuvwxyz1234567890\0\0\0\0 -=[]\\\\;'`,./",
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\0\0\0\0 _+{}||:\"~<>?",
};

/* DIN 2137-1, T1; its accents are no dead keys here. */
static const struct keyboard_caps de[] = {
	{0x08, {'e', 'E', 0x20ac}},
	{0x10, {'m', 'M', 0xb5}},
	{0x14, {'q', 'Q', '@'}},
	{0x1c, {'z', 'Z', 0}},
	{0x1d, {'y', 'Y', 0}},
	{0x1f, {'2', '"', 0xb2}},
	{0x20, {'3', 0xa7, 0xb3}},
	{0x23, {'6', '&', 0}},
	{0x24, {'7', '/', '{'}},
	{0x25, {'8', '(', '['}},
	{0x26, {'9', ')', ']'}},
	{0x27, {'0', '=', '}'}},
	{0x2d, {0xdf, '?', '\\'}},
	{0x2e, {0xb4, '`', 0}},
	{0x2f, {0xfc, 0xdc, 0}},
	{0x30, {'+', '*', '~'}},
	{0x31, {'#', '\'', 0}},
	{0x32, {'#', '\'', 0}},
	{0x33, {0xf6, 0xd6, 0}},
	{0x34, {0xe4, 0xc4, 0}},
	{0x35, {'^', 0xb0, 0}},
	{0x36, {',', ';', 0}},
	{0x37, {'.', ':', 0}},
	{0x38, {'-', '_', 0}},
	{0x64, {'<', '>', '|'}},
};

/* BS 4822, as on PCs. */
static const struct keyboard_caps uk[] = {
	{0x08, {'e', 'E', 0x20ac}},
	{0x1f, {'2', '"', 0}},
	{0x20, {'3', 0xa3, 0}},
	{0x21, {'4', '$', 0x20ac}},
	{0x31, {'#', '~', 0}},
	{0x32, {'#', '~', 0}},
	{0x34, {'\'', '@', 0}},
	{0x35, {'`', 0xac, 0xa6}},
	{0x64, {'\\', '|', 0}},
};

static const struct keyboard_caps us_more[] = {{0x64, {'\\', '|', 0}}};

static const struct keyboard_layout layouts[] = {
	{"us", false, ARRAY_SIZE(us_more), us_more},
	{"de", true, ARRAY_SIZE(de), de},
	{"uk", true, ARRAY_SIZE(uk), uk},
};

const struct keyboard_layout *layout_find(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (strcmp(layouts[i].name, name) == 0)
			return &layouts[i];
	}
	return NULL;
}

u16 layout_code(const struct keyboard_layout *l, u8 usage, u32 level)
{
	for (u32 i = 0; i < l->keys; i++) {
		if (l->key[i].usage == usage)
			return l->key[i].code[level];
	}
	if (level > 1 || usage < USAGE_FIRST || usage > USAGE_LAST)
		return 0;
	return (u8)us[level][usage - USAGE_FIRST];
}
