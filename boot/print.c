/* A small printf for the firmware's console: UTF-16, buffered by the message. */
#include <stdarg.h>
#include "print.h"
#include "uefi.h"

#define BUFFER_CHARS 160
#define KIB          1024ul
#define MIB          (1024 * KIB)

struct output {
	CHAR16 text[BUFFER_CHARS + 1];
	u32 length;
	va_list args;
};

static void output_flush(struct output *out)
{
	out->text[out->length] = 0;
	if (efi_table->ConOut && out->length)
		efi_table->ConOut->OutputString(efi_table->ConOut, out->text);
	out->length = 0;
}

static void output_char(struct output *out, char c)
{
	if (c == '\n')
		output_char(out, '\r');
	if (out->length == BUFFER_CHARS)
		output_flush(out);
	out->text[out->length++] = (u8)c;
}

static void output_text(struct output *out, const char *text)
{
	while (*text)
		output_char(out, *text++);
}

static void output_number(struct output *out, u64 value, u32 base, u32 width)
{
	char digits[20];
	u32 count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > count; width--)
		output_char(out, '0');
	while (count)
		output_char(out, digits[--count]);
}

/* Handles what follows a percent sign; returns where the format goes on. */
static const char *output_item(struct output *out, const char *format)
{
	u32 width = 0;
	bool is_long = false;
	char kind;

	while (*format >= '0' && *format <= '9')
		width = width * 10 + (u32)(*format++ - '0');
	while (*format == 'l') {
		is_long = true;
		format++;
	}
	kind = *format;
	if (kind == 's')
		output_text(out, va_arg(out->args, const char *));
	else if (kind == 'c')
		output_char(out, (char)va_arg(out->args, int));
	else if (kind == 'u' || kind == 'x')
		output_number(out, is_long ? va_arg(out->args, u64) : va_arg(out->args, u32),
			kind == 'u' ? 10 : 16, width);
	else if (kind == '%')
		output_char(out, '%');
	return kind ? format + 1 : format;
}

void print(const char *format, ...)
{
	struct output out = {.length = 0};

	va_start(out.args, format);
	while (*format) {
		if (*format == '%')
			format = output_item(&out, format + 1);
		else
			output_char(&out, *format++);
	}
	va_end(out.args);
	output_flush(&out);
}

void print_size(u64 bytes)
{
	if (bytes >= MIB)
		print("%lu.%lu MiB", bytes / MIB, bytes % MIB * 10 / MIB);
	else if (bytes >= KIB)
		print("%lu KiB", ALIGN_UP(bytes, KIB) / KIB);
	else
		print("%lu bytes", bytes);
}
